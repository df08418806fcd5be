import { Button, Group, Select, Stack, TextInput } from "@mantine/core";
import { IconFilterOff, IconListSearch } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useLocation } from "wouter";
import { apiPages, apiQuery } from "../../../api/queries";
import { Empty } from "../../../ui/Empty";
import { FilterBar } from "../../../ui/FilterBar";
import { PagedTable } from "../../../ui/PagedTable";
import { PageHeader } from "../../../ui/PageHeader";
import { SearchField } from "../../../ui/SearchField";
import { useFilters } from "../../../ui/useFilters";
import { to } from "../parts/addresses";
import { dayAfter } from "../parts/moments";
import { useWords } from "../parts/useWords";
import { CALL_STATES, useRequestColumns } from "./columns";
import { ERRORS } from "./errors";

const DEFAULTS = {
  id: "",
  account: "",
  model: "",
  channel: "",
  state: "",
  error: "",
  from: "",
  until: "",
};

export default function Requests() {
  const { t } = useTranslation(["operator", "common"]);
  const [, go] = useLocation();
  const [filters, setFilters, clear] = useFilters(DEFAULTS);
  const columns = useRequestColumns();
  const query = useInfiniteQuery(
    apiPages("/api/operator/requests", {
      query: {
        request_id: filters.id || null,
        account_id: filters.account || null,
        model: filters.model || null,
        channel: filters.channel || null,
        state: CALL_STATES.find((each) => each === filters.state) ?? null,
        error: filters.error || null,
        first_day: filters.from || null,
        end_day: filters.until === "" ? null : dayAfter(filters.until),
      },
    }),
  );
  const isFiltered = Object.values(filters).some((value) => value !== "");
  return (
    <>
      <PageHeader title={t("common:navigation.requests")} description={t("requests.description")} />
      <Stack gap="md">
        <Filters filters={filters} setFilters={setFilters} clear={clear} isFiltered={isFiltered} />
        <PagedTable
          label={t("common:navigation.requests")}
          query={query}
          columns={columns}
          idOf={(call) => call.id}
          onOpen={(call) => go(to.request(call.id))}
          empty={
            isFiltered ? (
              <Empty
                Icon={IconListSearch}
                title={t("requests.noneFits")}
                action={
                  <Button variant="default" mt="sm" onClick={clear}>
                    {t("clearFilters")}
                  </Button>
                }
              >
                {t("requests.noneFitsNote")}
              </Empty>
            ) : (
              <Empty Icon={IconListSearch} title={t("requests.none")}>
                {t("requests.noneNote")}
              </Empty>
            )
          }
        />
      </Stack>
    </>
  );
}

function Filters({
  filters,
  setFilters,
  clear,
  isFiltered,
}: {
  filters: typeof DEFAULTS;
  setFilters: (change: Partial<typeof DEFAULTS>) => void;
  clear: () => void;
  isFiltered: boolean;
}) {
  const { t } = useTranslation(["operator", "common"]);
  const words = useWords();
  const prices = useQuery(apiQuery("/api/operator/prices"));
  const channels = useQuery(apiQuery("/api/operator/channels"));
  const clearButton = { clearable: true, clearButtonProps: { "aria-label": t("common:clear") } };
  const withChosen = (names: readonly string[], chosen: string) =>
    chosen === "" || names.includes(chosen) ? [...names] : [chosen, ...names];
  return (
    <FilterBar label={t("requests.filters")}>
      <SearchField
        label={t("requests.searchId")}
        value={filters.id}
        onChange={(id) => setFilters({ id })}
        width={300}
      />
      <SearchField
        label={t("requests.accountId")}
        value={filters.account}
        onChange={(account) => setFilters({ account })}
        width={220}
      />
      <Select
        aria-label={t("requests.model")}
        placeholder={t("requests.anyModel")}
        data={withChosen(prices.data?.items.map((each) => each.model) ?? [], filters.model)}
        value={filters.model || null}
        onChange={(model) => setFilters({ model: model ?? "" })}
        searchable
        limit={50}
        nothingFoundMessage={t("channel.noSuchModel")}
        w={180}
        {...clearButton}
      />
      <Select
        aria-label={t("requests.channel")}
        placeholder={t("requests.anyChannel")}
        data={withChosen(channels.data?.items.map((each) => each.name) ?? [], filters.channel)}
        value={filters.channel || null}
        onChange={(channel) => setFilters({ channel: channel ?? "" })}
        searchable
        limit={50}
        nothingFoundMessage={t("channels.noneFits")}
        w={170}
        {...clearButton}
      />
      <Select
        aria-label={t("requests.state")}
        placeholder={t("requests.anyState")}
        data={CALL_STATES.map((state) => ({ value: state, label: t(`requests.states.${state}`) }))}
        value={filters.state || null}
        onChange={(state) => setFilters({ state: state ?? "" })}
        w={150}
        {...clearButton}
      />
      <Select
        aria-label={t("requests.error")}
        placeholder={t("requests.anyError")}
        data={withChosen(ERRORS, filters.error).map((code) => ({ value: code, label: words.error(code) }))}
        value={filters.error || null}
        onChange={(error) => setFilters({ error: error ?? "" })}
        searchable
        nothingFoundMessage={t("requests.noSuchError")}
        w={210}
        {...clearButton}
      />
      <Group gap={6} wrap="nowrap" data-whole>
        <TextInput
          type="date"
          aria-label={t("requests.from")}
          title={t("requests.from")}
          value={filters.from}
          max={filters.until || undefined}
          onChange={(event) => setFilters({ from: event.currentTarget.value })}
          flex="1 1 150px"
          miw={0}
        />
        <span aria-hidden>{"–"}</span>
        <TextInput
          type="date"
          aria-label={t("requests.until")}
          title={t("requests.until")}
          value={filters.until}
          min={filters.from || undefined}
          onChange={(event) => setFilters({ until: event.currentTarget.value })}
          flex="1 1 150px"
          miw={0}
        />
      </Group>
      {isFiltered && (
        <Button
          variant="subtle"
          color="gray"
          leftSection={<IconFilterOff size={16} aria-hidden />}
          onClick={clear}
        >
          {t("clearFilters")}
        </Button>
      )}
    </FilterBar>
  );
}
