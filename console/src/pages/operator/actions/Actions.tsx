import { Badge, Button, Drawer, Group, Select, Stack, Text } from "@mantine/core";
import { IconHistory } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { apiPages, type Shape } from "../../../api/queries";
import { Empty } from "../../../ui/Empty";
import { FilterBar } from "../../../ui/FilterBar";
import { type Column, PagedTable } from "../../../ui/PagedTable";
import { PageHeader } from "../../../ui/PageHeader";
import { SearchField } from "../../../ui/SearchField";
import { useFilters } from "../../../ui/useFilters";
import { Moment } from "../../../ui/values";
import { Facts } from "../parts/Facts";
import { Long } from "../parts/Long";
import { useWords } from "../parts/useWords";
import { Difference } from "./Difference";
import { ACTIONS } from "./names";

const DEFAULTS = { action: "", search: "" };
const THROUGH = {
  console: "console",
  "management key": "managementKey",
  "command line": "commandLine",
} as const;

export default function Actions() {
  const { t } = useTranslation(["operator", "common"]);
  const words = useWords();
  const [filters, setFilters, clear] = useFilters(DEFAULTS);
  const [opened, setOpened] = useState<Shape<"Action"> | null>(null);
  const columns = useColumns();
  const query = useInfiniteQuery(
    apiPages("/api/operator/actions", {
      query: { action: filters.action || null, search: filters.search || null },
    }),
  );
  const names: readonly string[] =
    filters.action === "" || ACTIONS.some((name) => name === filters.action)
      ? ACTIONS
      : [filters.action, ...ACTIONS];
  return (
    <>
      <PageHeader title={t("common:navigation.actions")} description={t("actions.description")} />
      <Stack gap="md">
        <FilterBar>
          <SearchField
            label={t("actions.search")}
            value={filters.search}
            onChange={(search) => setFilters({ search })}
            width={300}
          />
          <Select
            aria-label={t("actions.action")}
            placeholder={t("actions.anyAction")}
            data={names.map((name) => ({ value: name, label: words.action(name) }))}
            value={filters.action || null}
            onChange={(action) => setFilters({ action: action ?? "" })}
            searchable
            clearable
            clearButtonProps={{ "aria-label": t("common:clear") }}
            nothingFoundMessage={t("actions.noSuchAction")}
            w={240}
          />
        </FilterBar>
        <PagedTable
          label={t("common:navigation.actions")}
          query={query}
          columns={columns}
          idOf={(each) => each.id}
          onOpen={setOpened}
          empty={
            filters.action || filters.search ? (
              <Empty
                Icon={IconHistory}
                title={t("actions.noneFits")}
                action={
                  <Button variant="default" mt="sm" onClick={clear}>
                    {t("clearFilters")}
                  </Button>
                }
              />
            ) : (
              <Empty Icon={IconHistory} title={t("actions.none")}>
                {t("actions.noneNote")}
              </Empty>
            )
          }
        />
      </Stack>
      <Drawer
        opened={opened !== null}
        onClose={() => setOpened(null)}
        position="right"
        size="xl"
        title={opened && words.action(opened.action)}
        styles={{ title: { fontWeight: 600 } }}
        closeButtonProps={{ "aria-label": t("common:close") }}
      >
        {opened && <Detail action={opened} />}
      </Drawer>
    </>
  );
}

function useColumns(): Column<Shape<"Action">>[] {
  const { t } = useTranslation("operator");
  const words = useWords();
  return [
    {
      key: "action",
      header: t("actions.action"),
      render: (each) => (
        <Text span inherit fw={600}>
          {words.action(each.action)}
        </Text>
      ),
    },
    { key: "object", header: t("actions.object"), render: (each) => <Long width={280}>{each.object}</Long> },
    { key: "result", header: t("actions.result"), render: (each) => <Result result={each.result} /> },
    { key: "who", header: t("actions.who"), render: (each) => <Long width={220}>{each.email || "–"}</Long> },
    {
      key: "through",
      header: t("actions.through"),
      render: (each) => t(`actions.throughs.${THROUGH[each.through]}`),
    },
    {
      key: "created",
      header: t("actions.when"),
      render: (each) => <Moment seconds={each.created} isAbsolute />,
    },
  ];
}

function Result({ result }: { result: string }) {
  const { t } = useTranslation("operator");
  const words = useWords();
  if (result === "done")
    return (
      <Badge color="green" variant="light" tt="none" miw="max-content">
        {t("actions.done")}
      </Badge>
    );
  if (result === "unknown")
    return (
      <Badge color="yellow" variant="light" tt="none" miw="max-content">
        {t("actions.unknown")}
      </Badge>
    );
  return (
    <Group gap={6} display="inline-flex">
      <Badge color="red" variant="light" tt="none" miw="max-content">
        {t("actions.refused")}
      </Badge>
      <Text span size="xs" c="dimmed" title={result}>
        {words.error(result)}
      </Text>
    </Group>
  );
}

function Detail({ action }: { action: Shape<"Action"> }) {
  const { t } = useTranslation("operator");
  return (
    <Stack gap="lg">
      <Facts
        items={[
          [t("actions.when"), <Moment key="when" seconds={action.created} isAbsolute />],
          [t("actions.who"), action.email || t("none")],
          [t("actions.through"), t(`actions.throughs.${THROUGH[action.through]}`)],
          [t("actions.address"), action.address || t("none")],
          [t("actions.object"), action.object],
          [t("actions.result"), <Result key="result" result={action.result} />],
        ]}
      />
      {action.result === "unknown" && <Text size="sm">{t("actions.unknownNote")}</Text>}
      <Difference before={action.before} after={action.after} />
    </Stack>
  );
}
