import { Anchor, Badge, Group, SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "wouter";
import { apiQuery, type Shape } from "../../../api/queries";
import { CopyButton } from "../../../ui/CopyButton";
import { Loaded } from "../../../ui/Loaded";
import { PageHeader } from "../../../ui/PageHeader";
import { Section } from "../../../ui/Section";
import { Duration, Moment, Usd } from "../../../ui/values";
import { decoded, to } from "../parts/addresses";
import { Back } from "../parts/Back";
import { Facts } from "../parts/Facts";
import { Figure } from "../parts/Figure";
import { Receipt } from "./Receipt";
import { Waterfall } from "./Waterfall";

const STATES = { running: "blue", settled: "green", voided: "gray", expired: "yellow" } as const;

export default function Request() {
  const { t } = useTranslation(["operator", "common"]);
  const id = decoded(useParams<{ requestId: string }>().requestId);
  const query = useQuery({
    ...apiQuery("/api/operator/requests/{request_id}", { path: { request_id: id } }),
    refetchInterval: ({ state }) => (state.data?.receipt.state === "running" ? 3000 : false),
  });
  return (
    <>
      <Back href="/operator/requests" label={t("common:navigation.requests")} />
      <PageHeader
        title={t("request.title")}
        description={
          <Group gap={4} component="span" display="inline-flex">
            <Text span inherit ff="monospace" style={{ overflowWrap: "anywhere" }}>
              {id}
            </Text>
            <CopyButton value={id} what={t("request.id")} />
          </Group>
        }
      />
      <Loaded query={query}>{(detail) => <Body detail={detail} />}</Loaded>
    </>
  );
}

function Body({ detail }: { detail: Shape<"RequestDetail"> }) {
  const { t } = useTranslation("operator");
  const { receipt } = detail;
  const last = detail.attempts.at(-1);
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 2, md: 4 }}>
        <Figure
          label={t("request.state")}
          value={<ReceiptState state={receipt.state} />}
          note={receipt.outcome && t("request.outcome", { outcome: receipt.outcome })}
        />
        <Figure label={t("requests.charged")} value={<Usd value={receipt.charged_usd} />} />
        <Figure
          label={t("request.attempts")}
          value={detail.attempts.filter((each) => !each.result.startsWith("skipped_")).length}
        />
        <Figure
          label={t("requests.took")}
          value={<Duration milliseconds={last ? last.began_ms + last.took_ms : null} />}
        />
      </SimpleGrid>
      <Section title={t("request.what")}>
        <Facts
          items={[
            [
              t("requests.account"),
              <Anchor key="account" component={Link} href={to.account(detail.account_id)} inherit>
                {detail.account_name || detail.account_id}
              </Anchor>,
            ],
            [
              t("requests.model"),
              <Anchor key="model" component={Link} href={to.model(receipt.model)} inherit>
                {receipt.model}
              </Anchor>,
            ],
            [
              t("request.key"),
              <Text key="key" span inherit ff="monospace">
                {detail.key_id}
              </Text>,
            ],
            [t("request.created"), <Moment key="created" seconds={receipt.created} isAbsolute />],
            [
              t("request.closed"),
              receipt.closed === null ? (
                t("request.stillRunning")
              ) : (
                <Moment key="closed" seconds={receipt.closed} isAbsolute />
              ),
            ],
          ]}
        />
      </Section>
      <Section title={t("request.attemptsTitle")} description={t("request.attemptsNote")}>
        {detail.attempts.length === 0 ? (
          <Text size="sm" c="dimmed">
            {t(receipt.closed === null ? "request.noAttemptsYet" : "request.noAttempts")}
          </Text>
        ) : (
          <Waterfall attempts={detail.attempts} />
        )}
      </Section>
      <Receipt receipt={receipt} />
    </Stack>
  );
}

function ReceiptState({ state }: { state: string }) {
  const { t } = useTranslation("operator");
  if (!isKnown(state)) return state;
  return (
    <Badge size="lg" color={STATES[state]} variant="light" tt="none">
      {t(`request.states.${state}`)}
    </Badge>
  );
}

function isKnown(state: string): state is keyof typeof STATES {
  return state in STATES;
}
