import { Alert, Anchor, Badge, Button, Group, SegmentedControl, Stack, Text } from "@mantine/core";
import { IconAlertTriangle, IconPlus, IconTags } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { apiQuery, type Shape } from "../../../api/queries";
import { formatContext } from "../../../format";
import { Empty } from "../../../ui/Empty";
import { FilterBar } from "../../../ui/FilterBar";
import { Lines, Loaded } from "../../../ui/Loaded";
import { type Column, PlainTable } from "../../../ui/PagedTable";
import { PageHeader } from "../../../ui/PageHeader";
import { SearchField } from "../../../ui/SearchField";
import { useFilters } from "../../../ui/useFilters";
import { NoData, Usd } from "../../../ui/values";
import { Long } from "../parts/Long";
import { ModelPrice } from "./ModelPrice";
import { NewPrice } from "./NewPrice";
import { isRefused, PriceState } from "./PriceState";

const DEFAULTS = { model: "", new: "", search: "", show: "all" };
const SHOWN = ["all", "missing", "scheduled", "unoffered"] as const;
type Shown = (typeof SHOWN)[number];

export default function Prices() {
  const [filters, setFilters] = useFilters(DEFAULTS);
  if (filters.model !== "") return <ModelPrice key={filters.model} model={filters.model} />;
  if (filters.new !== "") return <NewPrice />;
  return <List filters={filters} setFilters={setFilters} />;
}

function List({
  filters,
  setFilters,
}: {
  filters: typeof DEFAULTS;
  setFilters: (change: Partial<typeof DEFAULTS>) => void;
}) {
  const { t } = useTranslation(["operator", "common"]);
  const query = useQuery(apiQuery("/api/operator/prices"));
  return (
    <>
      <PageHeader
        title={t("common:navigation.prices")}
        description={t("prices.description")}
        actions={
          <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setFilters({ new: "1" })}>
            {t("prices.new")}
          </Button>
        }
      />
      <Loaded query={query} skeleton={<Lines count={6} height={40} />}>
        {({ items }) => <Models models={items} filters={filters} setFilters={setFilters} />}
      </Loaded>
    </>
  );
}

function Models({
  models,
  filters,
  setFilters,
}: {
  models: readonly Shape<"PricedModel">[];
  filters: typeof DEFAULTS;
  setFilters: (change: Partial<typeof DEFAULTS>) => void;
}) {
  const { t } = useTranslation(["operator", "common"]);
  const show = SHOWN.find((each) => each === filters.show) ?? "all";
  const missing = models.filter(isRefused).length;
  const wanted = filters.search.toLowerCase();
  const shown = models.filter(
    (each) => belongs(each, show) && (wanted === "" || each.model.toLowerCase().includes(wanted)),
  );
  const columns = useColumns((model) => setFilters({ model }));
  return (
    <Stack gap="md">
      {missing > 0 && (
        <Alert
          color="yellow"
          icon={<IconAlertTriangle size={18} aria-hidden />}
          title={t("prices.missingTitle", { count: missing })}
        >
          <Group gap="sm" justify="space-between">
            <Text size="sm" flex="1 1 280px">
              {t("prices.missingNote")}
            </Text>
            {show !== "missing" && (
              <Button size="compact-sm" variant="default" onClick={() => setFilters({ show: "missing" })}>
                {t("prices.showMissing")}
              </Button>
            )}
          </Group>
        </Alert>
      )}
      <FilterBar>
        <SearchField
          label={t("prices.search")}
          value={filters.search}
          onChange={(search) => setFilters({ search })}
        />
        <SegmentedControl
          size="sm"
          aria-label={t("prices.show")}
          value={show}
          onChange={(chosen) => setFilters({ show: chosen })}
          data={SHOWN.map((value) => ({ value, label: t(`prices.shown.${value}`) }))}
          data-whole
        />
      </FilterBar>
      <PlainTable
        label={t("common:navigation.prices")}
        items={shown}
        columns={columns}
        idOf={(each) => each.model}
        onOpen={(each) => setFilters({ model: each.model })}
        empty={
          models.length === 0 ? (
            <Empty Icon={IconTags} title={t("prices.none")}>
              {t("prices.noneNote")}
            </Empty>
          ) : (
            <Empty
              Icon={IconTags}
              title={t("prices.noneFits")}
              action={
                <Button variant="default" mt="sm" onClick={() => setFilters({ search: "", show: "all" })}>
                  {t("clearFilters")}
                </Button>
              }
            />
          )
        }
      />
    </Stack>
  );
}

function useColumns(open: (model: string) => void): Column<Shape<"PricedModel">>[] {
  const { t } = useTranslation("operator");
  const figure = (kind: "input" | "output" | "cache_read" | "cache_write") => ({
    key: kind,
    header: t(`figure.${kind}`),
    isFigure: true,
    render: ({ price }: Shape<"PricedModel">) => <Usd value={price?.figures[0]?.[kind]} />,
  });
  return [
    {
      key: "model",
      header: t("prices.model"),
      render: (each) => (
        <Text span inherit fw={600}>
          <Long width={280}>{each.model}</Long>
        </Text>
      ),
    },
    {
      key: "state",
      header: t("prices.state"),
      render: (each) => (
        <Group gap={4}>
          <PriceState model={each} />
          {each.scheduled[0] && (
            <Badge variant="light" color="blue" tt="none">
              {t("prices.scheduledBadge", { count: each.scheduled.length })}
            </Badge>
          )}
        </Group>
      ),
    },
    figure("input"),
    figure("output"),
    figure("cache_read"),
    {
      key: "tiers",
      header: t("prices.tiers"),
      isFigure: true,
      render: ({ price }) =>
        price === null ? <NoData /> : price.figures.length > 1 ? price.figures.length - 1 : t("none"),
    },
    {
      key: "context",
      header: t("prices.context"),
      isFigure: true,
      render: ({ price }) => (price?.context_tokens ? formatContext(price.context_tokens) : <NoData />),
    },
    {
      key: "channels",
      header: t("prices.channels"),
      isFigure: true,
      render: (each) => each.channels.length,
    },
    {
      key: "do",
      header: t("prices.actions"),
      isUnnamed: true,
      isFigure: true,
      render: (each) => (
        <Anchor component="button" type="button" size="sm" onClick={() => open(each.model)}>
          {t(each.price === null ? "prices.setPrice" : "prices.change")}
        </Anchor>
      ),
    },
  ];
}

function belongs(model: Shape<"PricedModel">, show: Shown): boolean {
  if (show === "missing") return isRefused(model);
  if (show === "scheduled") return model.scheduled.length > 0;
  if (show === "unoffered") return model.channels.length === 0;
  return true;
}
