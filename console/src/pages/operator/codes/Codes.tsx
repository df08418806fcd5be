import { Badge, Button, Drawer, Group, Progress, Stack, Text } from "@mantine/core";
import { IconPlus, IconTicket } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useLocation } from "wouter";
import { apiPages, apiQuery, type Shape } from "../../../api/queries";
import { formatNumber } from "../../../format";
import { useLanguage } from "../../../i18n";
import { Empty } from "../../../ui/Empty";
import { Lines, Loaded } from "../../../ui/Loaded";
import { type Column, PagedTable, PlainTable } from "../../../ui/PagedTable";
import { PageHeader } from "../../../ui/PageHeader";
import { useFilters } from "../../../ui/useFilters";
import { Moment, Usd } from "../../../ui/values";
import { to } from "../parts/addresses";
import { Facts } from "../parts/Facts";
import { Long } from "../parts/Long";
import { MakeCodes } from "./MakeCodes";
import { RevokeCodes } from "./RevokeCodes";

const DEFAULTS = { batch: "" };

export default function Codes() {
  const { t } = useTranslation(["operator", "common"]);
  const query = useQuery(apiQuery("/api/operator/codes"));
  const [{ batch }, setFilters] = useFilters(DEFAULTS);
  const [isMaking, setMaking] = useState(false);
  const columns = useColumns();
  const opened = query.data?.items.find((each) => each.name === batch);
  return (
    <>
      <PageHeader
        title={t("common:navigation.codes")}
        description={t("codes.description")}
        actions={
          <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setMaking(true)}>
            {t("codes.make")}
          </Button>
        }
      />
      <Loaded query={query} skeleton={<Lines count={5} height={40} />}>
        {({ items }) => (
          <PlainTable
            label={t("codes.batches")}
            items={items}
            columns={columns}
            idOf={(each) => each.name}
            onOpen={(each) => setFilters({ batch: each.name })}
            empty={
              <Empty Icon={IconTicket} title={t("codes.none")}>
                {t("codes.noneNote")}
              </Empty>
            }
          />
        )}
      </Loaded>
      <Drawer
        opened={opened !== undefined}
        onClose={() => setFilters({ batch: "" })}
        position="right"
        size="lg"
        title={t("codes.batchTitle", { name: batch })}
        styles={{ title: { overflowWrap: "anywhere", fontWeight: 600 } }}
        closeButtonProps={{ "aria-label": t("common:close") }}
      >
        {opened && <Batch batch={opened} />}
      </Drawer>
      {isMaking && <MakeCodes onClose={() => setMaking(false)} />}
    </>
  );
}

function useColumns(): Column<Shape<"CodeBatch">>[] {
  const { t } = useTranslation("operator");
  return [
    { key: "name", header: t("codes.name"), render: ({ name }) => <Long width={260}>{name}</Long> },
    { key: "state", header: t("codes.state"), render: (each) => <BatchState batch={each} /> },
    {
      key: "amount",
      header: t("codes.each"),
      isFigure: true,
      render: (each) => <Usd value={each.amount_usd} />,
    },
    { key: "claimed", header: t("codes.claimed"), render: (each) => <Claimed batch={each} /> },
    { key: "created", header: t("codes.created"), render: ({ created }) => <Moment seconds={created} /> },
    {
      key: "expires",
      header: t("codes.expires"),
      render: ({ expires }) =>
        expires === null ? t("codes.never") : <Moment seconds={expires} isAbsolute />,
    },
  ];
}

function Claimed({ batch }: { batch: Shape<"CodeBatch"> }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  return (
    <Stack gap={4} miw={110} maw={180} display="inline-flex">
      <Text size="sm" className="figures">
        {t("codes.claimedOf", {
          claimed: formatNumber(batch.claimed, locale),
          codes: formatNumber(batch.codes, locale),
        })}
      </Text>
      <Progress
        value={batch.codes === 0 ? 0 : (batch.claimed / batch.codes) * 100}
        size="xs"
        aria-label={t("codes.claimed")}
      />
    </Stack>
  );
}

function BatchState({ batch }: { batch: Shape<"CodeBatch"> }) {
  const { t } = useTranslation("operator");
  const [color, name] = stateOf(batch);
  return (
    <Badge color={color} variant="light" tt="none" miw="max-content">
      {t(`codes.states.${name}`)}
    </Badge>
  );
}

function stateOf(batch: Shape<"CodeBatch">) {
  if (batch.revoked !== null) return ["red", "revoked"] as const;
  if (batch.claimed >= batch.codes) return ["gray", "usedUp"] as const;
  if (batch.expires !== null && batch.expires * 1000 <= Date.now()) return ["gray", "expired"] as const;
  return ["green", "open"] as const;
}

function Batch({ batch }: { batch: Shape<"CodeBatch"> }) {
  const { t } = useTranslation("operator");
  const [, go] = useLocation();
  const query = useInfiniteQuery(
    apiPages("/api/operator/codes/{batch}/claims", { path: { batch: batch.name } }),
  );
  const columns: Column<Shape<"CodeClaim">>[] = [
    {
      key: "account",
      header: t("codes.who"),
      render: (claim) => <Long width={260}>{claim.account_name}</Long>,
    },
    {
      key: "claimed",
      header: t("codes.when"),
      render: ({ claimed }) => <Moment seconds={claimed} isAbsolute />,
    },
  ];
  const isOpen = stateOf(batch)[1] === "open";
  return (
    <Stack gap="lg">
      <Facts
        items={[
          [t("codes.state"), <BatchState key="state" batch={batch} />],
          [t("codes.each"), <Usd key="amount" value={batch.amount_usd} />],
          [t("codes.claimed"), <Claimed key="claimed" batch={batch} />],
          [t("codes.created"), <Moment key="created" seconds={batch.created} isAbsolute />],
          [
            t("codes.expires"),
            batch.expires === null ? (
              t("codes.never")
            ) : (
              <Moment key="expires" seconds={batch.expires} isAbsolute />
            ),
          ],
          [
            t("codes.revokedAt"),
            batch.revoked && <Moment key="revoked" seconds={batch.revoked} isAbsolute />,
          ],
        ]}
      />
      <Text size="sm" c="dimmed">
        {t("codes.notReadable")}
      </Text>
      {isOpen && (
        <Group>
          <RevokeCodes batch={batch} />
        </Group>
      )}
      <Text fw={600} component="h3" m={0}>
        {t("codes.claims")}
      </Text>
      <PagedTable
        label={t("codes.claims")}
        query={query}
        columns={columns}
        idOf={(claim) => `${claim.account_id} ${claim.claimed}`}
        onOpen={(claim) => go(to.account(claim.account_id))}
        empty={<Empty Icon={IconTicket} title={t("codes.noClaims")} />}
      />
    </Stack>
  );
}
