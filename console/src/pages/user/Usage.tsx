import { ActionIcon, Badge, Button, Group, Select, Stack, Text } from "@mantine/core";
import { IconDownload, IconReceipt, IconRefresh, IconSearchOff } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link, useLocation, useParams } from "wouter";
import { apiUrl } from "../../api/client";
import { apiPages, apiQuery, type Shape } from "../../api/queries";
import { Empty } from "../../ui/Empty";
import { FilterBar } from "../../ui/FilterBar";
import { type Column, PagedTable } from "../../ui/PagedTable";
import { PageHeader } from "../../ui/PageHeader";
import { SearchField } from "../../ui/SearchField";
import { useFilters } from "../../ui/useFilters";
import { Duration, Moment, Tokens, Usd } from "../../ui/values";
import { useCause } from "./parts/cause";
import { DayRange, daysQuery } from "./parts/DayRange";
import { CALL_STATES, CallState } from "./parts/states";
import { ReceiptPanel } from "./usage/ReceiptPanel";

type Call = Shape<"Call">;

const DEFAULTS = { search: "", model: "", key: "", state: "", first: "", last: "" };
const REQUEST_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Every call of the account; each line opens its receipt, which has an address of its own. */
export default function Usage() {
  const { t } = useTranslation(["user", "common"]);
  const [filters, change, clear] = useFilters(DEFAULTS);
  const [, go] = useLocation();
  const { requestId } = useParams<{ requestId?: string }>();
  const state = CALL_STATES.find((each) => each === filters.state);
  const isSearchable = filters.search === "" || REQUEST_ID.test(filters.search);
  const query = {
    ...(filters.search ? { request_id: filters.search.toLowerCase() } : {}),
    ...(filters.model ? { model: filters.model } : {}),
    ...(filters.key ? { key_id: filters.key } : {}),
    ...(state ? { state } : {}),
    ...daysQuery(filters.first, filters.last),
  };
  const calls = useInfiniteQuery({ ...apiPages("/api/calls", { query }), enabled: isSearchable });
  const isFiltered = Object.values(filters).some((value) => value !== "");
  const columns = useColumns();
  const goTo = (id: string | null) => go(`/usage${id === null ? "" : `/${id}`}${window.location.search}`);
  const clearButton = (
    <Button variant="default" size="xs" onClick={clear}>
      {t("filters.clear")}
    </Button>
  );
  return (
    <>
      <PageHeader
        title={t("usage.title")}
        description={t("usage.description")}
        actions={
          <>
            <ActionIcon
              variant="default"
              size={36}
              aria-label={t("usage.refresh")}
              title={t("usage.refresh")}
              loading={calls.isRefetching && !calls.isFetchingNextPage}
              onClick={() => void calls.refetch()}
            >
              <IconRefresh size={18} aria-hidden />
            </ActionIcon>
            <Button
              component="a"
              href={apiUrl("/api/calls.csv", { query })}
              download="calls.csv"
              variant="default"
              leftSection={<IconDownload size={16} aria-hidden />}
            >
              {t("csv")}
            </Button>
          </>
        }
      />
      <Stack gap="md">
        <Filters filters={filters} change={change} isFiltered={isFiltered} clear={clear} />
        {isSearchable ? (
          <PagedTable
            label={t("usage.title")}
            query={calls}
            columns={columns}
            idOf={(call) => call.id}
            onOpen={(call) => goTo(call.id)}
            empty={
              isFiltered ? (
                <Empty Icon={IconSearchOff} title={t("usage.noneFound")} action={clearButton} />
              ) : (
                <Empty
                  Icon={IconReceipt}
                  title={t("usage.none")}
                  action={
                    <Button component={Link} href="/playground" size="sm">
                      {t("usage.try")}
                    </Button>
                  }
                >
                  {t("usage.noneText")}
                </Empty>
              )
            }
          />
        ) : (
          <Empty Icon={IconSearchOff} title={t("usage.notAnId")} action={clearButton}>
            {t("usage.notAnIdText")}
          </Empty>
        )}
      </Stack>
      <ReceiptPanel requestId={requestId} close={() => goTo(null)} />
    </>
  );
}

function Filters({
  filters,
  change,
  isFiltered,
  clear,
}: {
  filters: typeof DEFAULTS;
  change: (change: Partial<typeof DEFAULTS>) => void;
  isFiltered: boolean;
  clear: () => void;
}) {
  const { t } = useTranslation(["user", "common"]);
  const models = useQuery(apiQuery("/api/models")).data?.items ?? [];
  const keys = useQuery(apiQuery("/api/keys", { query: { limit: 200 } })).data?.items ?? [];
  const modelNames = models.map((model) => model.id);
  const keyNames = keys.map((key) => ({ value: key.id, label: key.name }));
  const clearing = { clearable: true, clearButtonProps: { "aria-label": t("common:clear") } };
  return (
    <FilterBar>
      <SearchField
        label={t("usage.search")}
        value={filters.search}
        onChange={(search) => change({ search })}
        width={230}
      />
      <Select
        label={t("usage.model")}
        placeholder={t("usage.any")}
        searchable
        {...clearing}
        value={filters.model || null}
        onChange={(model) => change({ model: model ?? "" })}
        // What is filtered by stays a choice, though the model may be gone.
        data={
          filters.model && !modelNames.includes(filters.model) ? [filters.model, ...modelNames] : modelNames
        }
        w={160}
      />
      <Select
        label={t("usage.key")}
        placeholder={t("usage.any")}
        searchable
        {...clearing}
        value={filters.key || null}
        onChange={(key) => change({ key: key ?? "" })}
        data={
          filters.key && !keys.some((key) => key.id === filters.key)
            ? [{ value: filters.key, label: filters.key }, ...keyNames]
            : keyNames
        }
        w={140}
      />
      <Select
        label={t("usage.state")}
        placeholder={t("usage.any")}
        {...clearing}
        value={CALL_STATES.find((each) => each === filters.state) ?? null}
        onChange={(state) => change({ state: state ?? "" })}
        data={CALL_STATES.map((each) => ({ value: each, label: t(`callState.${each}`) }))}
        w={120}
      />
      <DayRange first={filters.first} last={filters.last} onChange={change} />
      {isFiltered && (
        <Button variant="subtle" color="gray" onClick={clear}>
          {t("filters.clear")}
        </Button>
      )}
    </FilterBar>
  );
}

function useColumns(): Column<Call>[] {
  const { t } = useTranslation("user");
  const cause = useCause();
  return [
    {
      key: "when",
      header: t("usage.when"),
      render: (call) => <Moment seconds={call.created} isAbsolute />,
    },
    {
      key: "model",
      header: t("usage.model"),
      render: (call) => (
        <span style={{ display: "block", minWidth: 120, overflowWrap: "anywhere" }}>
          {call.model}
          <Text span size="xs" c="dimmed" display="block">
            {call.key_name}
          </Text>
        </span>
      ),
    },
    {
      key: "state",
      header: t("usage.state"),
      render: (call) => (
        <span style={{ display: "block", maxWidth: 280 }}>
          <CallState state={call.state} />
          {call.error !== null && (
            <Text span size="xs" c="dimmed" display="block" mt={2} miw={{ base: 0, sm: 180 }}>
              {cause(call.error)}
            </Text>
          )}
        </span>
      ),
    },
    {
      key: "input",
      header: t("usage.input"),
      isFigure: true,
      render: (call) => (
        <span title={call.cached_tokens > 0 ? t("usage.cachedOf", { count: call.cached_tokens }) : undefined}>
          <Tokens value={call.input_tokens} />
        </span>
      ),
    },
    {
      key: "output",
      header: t("usage.output"),
      isFigure: true,
      render: (call) => <Tokens value={call.output_tokens} />,
    },
    {
      key: "first",
      header: t("usage.firstToken"),
      isFigure: true,
      render: (call) => <Duration milliseconds={call.first_output_ms} />,
    },
    {
      key: "took",
      header: t("usage.took"),
      isFigure: true,
      render: (call) => <Duration milliseconds={call.took_ms} />,
    },
    {
      key: "cost",
      header: t("usage.cost"),
      isFigure: true,
      render: (call) => (
        <Group gap={6} justify="flex-end" wrap="nowrap" component="span">
          {call.is_estimated && (
            <Badge
              size="xs"
              variant="light"
              color="yellow"
              tt="none"
              fw={600}
              miw="max-content"
              title={t("receipt.estimatedText")}
            >
              {t("receipt.estimated")}
            </Badge>
          )}
          <Usd value={call.charged_usd} />
        </Group>
      ),
    },
  ];
}
