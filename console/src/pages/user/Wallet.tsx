import { Anchor, Button, Group, SegmentedControl, SimpleGrid, Stack, Text } from "@mantine/core";
import { IconDownload, IconReceipt, IconSearchOff } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { apiUrl } from "../../api/client";
import { apiPages, apiQuery, type Shape } from "../../api/queries";
import { Empty } from "../../ui/Empty";
import { FilterBar } from "../../ui/FilterBar";
import { Loaded } from "../../ui/Loaded";
import { type Column, PagedTable } from "../../ui/PagedTable";
import { PageHeader } from "../../ui/PageHeader";
import { Section } from "../../ui/Section";
import { useFilters } from "../../ui/useFilters";
import { Moment, Usd } from "../../ui/values";
import { DayRange, daysQuery } from "./parts/DayRange";
import { Limits } from "./parts/Limits";
import { Balance } from "./wallet/Balance";
import { Redeem } from "./wallet/Redeem";

type Transfer = Shape<"Transfer">;

const KINDS = ["all", "money", "usage"] as const;
const DEFAULTS = { kind: "all", first: "", last: "" };

/** What the account has, how to add to it, and every change that there was. */
export default function Wallet() {
  const { t } = useTranslation("user");
  const wallet = useQuery(apiQuery("/api/wallet"));
  return (
    <>
      <PageHeader title={t("wallet.title")} />
      <Stack gap="xl">
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
          <Section size="h4" title={t("wallet.available")}>
            <Loaded query={wallet}>{(data) => <Balance wallet={data} />}</Loaded>
          </Section>
          <Section size="h4" title={t("wallet.redeem")} description={t("wallet.redeemText")}>
            <Redeem />
          </Section>
        </SimpleGrid>
        {wallet.data && hasLimits(wallet.data.limits) && (
          <Section size="h4" title={t("wallet.limits")} description={t("wallet.limitsText")}>
            <Limits limits={wallet.data.limits} used={wallet.data.used} columns={2} />
          </Section>
        )}
        <Transfers />
      </Stack>
    </>
  );
}

function Transfers() {
  const { t } = useTranslation("user");
  const [filters, change, clear] = useFilters(DEFAULTS);
  const kind = KINDS.find((each) => each === filters.kind) ?? "all";
  const query = { kind, ...daysQuery(filters.first, filters.last) };
  const transfers = useInfiniteQuery(apiPages("/api/wallet/transfers", { query }));
  const isFiltered = kind !== "all" || filters.first !== "" || filters.last !== "";
  return (
    <section aria-labelledby="transfers">
      <Text component="h2" id="transfers" size="lg" fw={650} mb="sm">
        {t("wallet.transfers")}
      </Text>
      <Group gap="sm" mb="md" align="flex-end" justify="space-between">
        <FilterBar>
          <SegmentedControl
            aria-label={t("wallet.kind")}
            value={kind}
            onChange={(chosen) => change({ kind: chosen })}
            data={KINDS.map((each) => ({ value: each, label: t(`wallet.kinds.${each}`) }))}
          />
          <DayRange first={filters.first} last={filters.last} onChange={change} />
        </FilterBar>
        <Button
          component="a"
          href={apiUrl("/api/wallet/transfers.csv", { query })}
          download="transfers.csv"
          variant="default"
          leftSection={<IconDownload size={16} aria-hidden />}
        >
          {t("csv")}
        </Button>
      </Group>
      <PagedTable
        label={t("wallet.transfers")}
        query={transfers}
        columns={useColumns()}
        idOf={(transfer) => transfer.id}
        empty={
          isFiltered ? (
            <Empty
              Icon={IconSearchOff}
              title={t("wallet.noneFound")}
              action={
                <Button variant="default" size="xs" onClick={clear}>
                  {t("filters.clear")}
                </Button>
              }
            />
          ) : (
            <Empty Icon={IconReceipt} title={t("wallet.none")}>
              {t("wallet.noneText")}
            </Empty>
          )
        }
      />
    </section>
  );
}

function useColumns(): Column<Transfer>[] {
  const { t } = useTranslation("user");
  return [
    {
      key: "what",
      header: t("wallet.what"),
      render: (transfer) => (
        <span style={{ display: "block", minWidth: 160 }}>
          <Text span size="sm" fw={550} display="block">
            {t(`transfer.${transfer.kind}`)}
          </Text>
          <Reason of={transfer} />
        </span>
      ),
    },
    {
      key: "when",
      header: t("wallet.when"),
      render: (transfer) => <Moment seconds={transfer.created} isAbsolute />,
    },
    {
      key: "amount",
      header: t("wallet.amount"),
      isFigure: true,
      render: (transfer) => <Usd value={transfer.amount_usd} isChange />,
    },
    {
      key: "after",
      header: t("wallet.after"),
      isFigure: true,
      render: (transfer) => <Usd value={transfer.balance_usd} />,
    },
  ];
}

function Reason({ of }: { of: Transfer }) {
  if (of.request_id) {
    return (
      <Anchor
        component={Link}
        href={`/usage/${of.request_id}`}
        size="xs"
        fw={400}
        underline="hover"
        style={{ overflowWrap: "anywhere" }}
      >
        {of.model ?? of.request_id}
      </Anchor>
    );
  }
  if (of.reason === "") return null;
  return (
    <Text span size="xs" c="dimmed" fw={400} style={{ overflowWrap: "anywhere" }}>
      {of.reason}
    </Text>
  );
}

function hasLimits(limits: Shape<"Limits">): boolean {
  return Object.values(limits).some((limit) => limit !== null && limit !== undefined);
}
