import { Button, Select, Stack, Tabs } from "@mantine/core";
import { IconUserPlus, IconUsers } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useLocation } from "wouter";
import { apiPages, apiQuery, type Shape } from "../../../api/queries";
import { Empty } from "../../../ui/Empty";
import { FilterBar } from "../../../ui/FilterBar";
import { type Column, PagedTable } from "../../../ui/PagedTable";
import { PageHeader } from "../../../ui/PageHeader";
import { SearchField } from "../../../ui/SearchField";
import { useFilters } from "../../../ui/useFilters";
import { Moment, Usd } from "../../../ui/values";
import { to } from "../parts/addresses";
import { Long } from "../parts/Long";
import { Groups } from "./Groups";
import { Invitations } from "./Invitations";
import { MakePerson } from "./MakePerson";
import { StatusBadge } from "./StatusBadge";

const DEFAULTS = { tab: "accounts", search: "", status: "", group: "" };
const STATUSES = ["active", "suspended"] as const;
type Filters = typeof DEFAULTS;

export default function Accounts() {
  const { t } = useTranslation(["operator", "common"]);
  const [filters, setFilters, clear] = useFilters(DEFAULTS);
  const [isMaking, setMaking] = useState(false);
  return (
    <>
      <PageHeader
        title={t("common:navigation.accounts")}
        description={t("accounts.description")}
        actions={
          <Button leftSection={<IconUserPlus size={16} aria-hidden />} onClick={() => setMaking(true)}>
            {t("accounts.makePerson")}
          </Button>
        }
      />
      <Tabs
        value={filters.tab}
        onChange={(tab) => setFilters({ tab: tab ?? "accounts" })}
        keepMounted={false}
      >
        <Tabs.List mb="md">
          <Tabs.Tab value="accounts">{t("accounts.tab.accounts")}</Tabs.Tab>
          <Tabs.Tab value="groups">{t("accounts.tab.groups")}</Tabs.Tab>
          <Tabs.Tab value="invitations">{t("accounts.tab.invitations")}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="accounts">
          <List filters={filters} setFilters={setFilters} clear={clear} />
        </Tabs.Panel>
        <Tabs.Panel value="groups">
          <Groups />
        </Tabs.Panel>
        <Tabs.Panel value="invitations">
          <Invitations />
        </Tabs.Panel>
      </Tabs>
      {isMaking && <MakePerson onClose={() => setMaking(false)} />}
    </>
  );
}

function List({
  filters,
  setFilters,
  clear,
}: {
  filters: Filters;
  setFilters: (change: Partial<Filters>) => void;
  clear: () => void;
}) {
  const { t } = useTranslation(["operator", "common"]);
  const [, go] = useLocation();
  const groups = useQuery(apiQuery("/api/operator/groups"));
  const query = useInfiniteQuery(
    apiPages("/api/operator/accounts", {
      query: {
        search: filters.search || null,
        status: STATUSES.find((each) => each === filters.status) ?? null,
        group_name: filters.group || null,
      },
    }),
  );
  const isFiltered = Boolean(filters.search || filters.status || filters.group);
  const columns = useColumns();
  return (
    <Stack gap="md">
      <FilterBar>
        <SearchField
          label={t("accounts.search")}
          value={filters.search}
          onChange={(search) => setFilters({ search })}
          width={300}
        />
        <Select
          aria-label={t("accounts.status")}
          placeholder={t("accounts.anyStatus")}
          data={STATUSES.map((status) => ({ value: status, label: t(`account.status.${status}`) }))}
          value={filters.status || null}
          onChange={(status) => setFilters({ status: status ?? "" })}
          clearable
          clearButtonProps={{ "aria-label": t("common:clear") }}
          w={150}
        />
        <Select
          aria-label={t("accounts.group")}
          placeholder={t("accounts.anyGroup")}
          data={groups.data?.items.map((group) => group.name) ?? []}
          value={filters.group || null}
          onChange={(group) => setFilters({ group: group ?? "" })}
          clearable
          clearButtonProps={{ "aria-label": t("common:clear") }}
          searchable
          nothingFoundMessage={t("groups.none")}
          w={170}
        />
      </FilterBar>
      <PagedTable
        label={t("common:navigation.accounts")}
        query={query}
        columns={columns}
        idOf={(account) => account.id}
        onOpen={(account) => go(to.account(account.id))}
        empty={
          isFiltered ? (
            <Empty
              Icon={IconUsers}
              title={t("accounts.noneFits")}
              action={
                <Button variant="default" mt="sm" onClick={clear}>
                  {t("clearFilters")}
                </Button>
              }
            />
          ) : (
            <Empty Icon={IconUsers} title={t("accounts.none")}>
              {t("accounts.noneNote")}
            </Empty>
          )
        }
      />
    </Stack>
  );
}

function useColumns(): Column<Shape<"Account">>[] {
  const { t } = useTranslation("operator");
  return [
    { key: "name", header: t("accounts.name"), render: ({ name }) => <Long width={280}>{name}</Long> },
    { key: "status", header: t("accounts.status"), render: ({ status }) => <StatusBadge status={status} /> },
    {
      key: "available",
      header: t("accounts.available"),
      isFigure: true,
      render: (each) => <Usd value={each.available_usd} />,
    },
    {
      key: "held",
      header: t("accounts.held"),
      isFigure: true,
      isWideOnly: true,
      render: (each) => <Usd value={each.held_usd} />,
    },
    {
      key: "spent",
      header: t("accounts.spent"),
      isFigure: true,
      render: (each) => <Usd value={each.spent_usd} />,
    },
    {
      key: "group",
      header: t("accounts.group"),
      render: ({ group_name: group }) => (group === null ? t("none") : <Long width={140}>{group}</Long>),
    },
    { key: "keys", header: t("accounts.keys"), isFigure: true, render: ({ keys }) => keys },
    { key: "created", header: t("accounts.created"), render: ({ created }) => <Moment seconds={created} /> },
  ];
}
