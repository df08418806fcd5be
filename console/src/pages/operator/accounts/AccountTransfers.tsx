import { Anchor, SegmentedControl, Stack, Text } from "@mantine/core";
import { IconArrowsUpDown } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { apiPages, type Shape } from "../../../api/queries";
import { Empty } from "../../../ui/Empty";
import { type Column, PagedTable } from "../../../ui/PagedTable";
import { Moment, Usd } from "../../../ui/values";
import { to } from "../parts/addresses";
import { Long } from "../parts/Long";

const KINDS = ["all", "money", "usage"] as const;

/** Every change of an account's balance. */
export function AccountTransfers({ accountId }: { accountId: string }) {
  const { t } = useTranslation("operator");
  const [kind, setKind] = useState<(typeof KINDS)[number]>("money");
  const query = useInfiniteQuery(
    apiPages("/api/operator/accounts/{account_id}/transfers", {
      path: { account_id: accountId },
      query: { kind },
    }),
  );
  const columns: Column<Shape<"Transfer">>[] = [
    {
      key: "created",
      header: t("transfers.when"),
      render: ({ created }) => <Moment seconds={created} isAbsolute />,
    },
    { key: "kind", header: t("transfers.kind"), render: (each) => t(`transfers.kinds.${each.kind}`) },
    { key: "reason", header: t("transfers.reason"), render: (each) => <Reason transfer={each} /> },
    {
      key: "amount",
      header: t("transfers.amount"),
      isFigure: true,
      render: (each) => <Usd value={each.amount_usd} isChange />,
    },
    {
      key: "balance",
      header: t("transfers.balance"),
      isFigure: true,
      render: (each) => <Usd value={each.balance_usd} />,
    },
  ];
  return (
    <Stack gap="md">
      <SegmentedControl
        aria-label={t("transfers.kind")}
        style={{ alignSelf: "flex-start" }}
        value={kind}
        onChange={(chosen) => setKind(KINDS.find((each) => each === chosen) ?? "all")}
        data={KINDS.map((value) => ({ value, label: t(`transfers.shown.${value}`) }))}
      />
      <PagedTable
        label={t("account.tab.transfers")}
        query={query}
        columns={columns}
        idOf={(each) => each.id}
        empty={<Empty Icon={IconArrowsUpDown} title={t("transfers.none")} />}
      />
    </Stack>
  );
}

function Reason({ transfer }: { transfer: Shape<"Transfer"> }) {
  if (transfer.request_id !== null) {
    return (
      <Anchor component={Link} href={to.request(transfer.request_id)} inherit>
        {transfer.model ?? transfer.request_id}
      </Anchor>
    );
  }
  return transfer.reason.length > 60 ? (
    <Text span inherit style={{ overflowWrap: "anywhere" }}>
      {transfer.reason}
    </Text>
  ) : (
    <Long width={420}>{transfer.reason}</Long>
  );
}
