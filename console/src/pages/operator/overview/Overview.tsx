import { Alert, Anchor, Grid, SegmentedControl, SimpleGrid, Skeleton, Stack, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { apiQuery, type Shape } from "../../../api/queries";
import { formatShare } from "../../../format";
import { useLanguage } from "../../../i18n";
import { Loaded } from "../../../ui/Loaded";
import { PageHeader } from "../../../ui/PageHeader";
import { Section } from "../../../ui/Section";
import { useFilters } from "../../../ui/useFilters";
import { Count, Duration, Moment, NoData, Share, Usd } from "../../../ui/values";
import { growth } from "../parts/amounts";
import { Facts } from "../parts/Facts";
import { Figure } from "../parts/Figure";
import { Causes, ChannelShares } from "./Shares";
import { MoneyChart, TrafficChart } from "./TrafficCharts";

const SPANS = [1, 7, 30, 90] as const;
const DEFAULTS = { days: "7" };
const REREAD_MILLISECONDS = 30_000;

export default function Overview() {
  const { t } = useTranslation(["operator", "common"]);
  const [{ days }, setFilters] = useFilters(DEFAULTS);
  const span = SPANS.find((each) => String(each) === days) ?? 7;
  const query = useQuery({
    ...apiQuery("/api/operator/traffic", { query: { days: span } }),
    placeholderData: (before) => before,
    refetchInterval: REREAD_MILLISECONDS,
  });
  return (
    <>
      <PageHeader
        title={t("common:navigation.overview")}
        description={t("overview.description")}
        actions={
          <SegmentedControl
            aria-label={t("overview.span")}
            size="sm"
            value={String(span)}
            onChange={(chosen) => setFilters({ days: chosen })}
            data={SPANS.map((each) => ({ value: String(each), label: t(`overview.days${each}`) }))}
          />
        }
      />
      <Loaded query={query} skeleton={<Waiting />}>
        {(traffic) => <Body traffic={traffic} />}
      </Loaded>
    </>
  );
}

function Body({ traffic }: { traffic: Shape<"Traffic"> }) {
  const { t } = useTranslation("operator");
  const { totals, before } = traffic;
  return (
    <Stack gap="md">
      <AuditAlarm audit={traffic.audit} />
      <SimpleGrid cols={{ base: 2, md: 4 }} spacing="md">
        <Figure
          label={t("overview.requests")}
          value={<Count value={totals.requests} />}
          note={<Change before={before.requests} after={totals.requests} />}
        />
        <Figure
          label={t("overview.failed")}
          value={<Share value={shareOf(totals)} />}
          note={<FailedBefore totals={totals} before={before} />}
        />
        <Figure
          label={t("overview.charged")}
          value={<Usd value={totals.charged_usd} />}
          note={<Change before={Number(before.charged_usd)} after={Number(totals.charged_usd)} />}
        />
        <Figure
          label={t("overview.running")}
          value={<Count value={traffic.running} />}
          note={t("overview.runningNote")}
        />
      </SimpleGrid>
      <Grid gap="md">
        <Grid.Col span={{ base: 12, lg: 7 }}>
          <Section title={t("overview.traffic")}>
            <TrafficChart traffic={traffic} />
          </Section>
        </Grid.Col>
        <Grid.Col span={{ base: 12, lg: 5 }}>
          <Section title={t("overview.chargedOverTime")}>
            <MoneyChart traffic={traffic} />
          </Section>
        </Grid.Col>
        <Grid.Col span={{ base: 12, lg: 7 }}>
          <Stack gap="md">
            <Section title={t("overview.byChannel")} description={t("overview.byChannelNote")}>
              <ChannelShares channels={traffic.channels} />
            </Section>
            <Money traffic={traffic} />
          </Stack>
        </Grid.Col>
        <Grid.Col span={{ base: 12, lg: 5 }}>
          <Stack gap="md">
            <Section title={t("overview.causes")} description={t("overview.causesNote")}>
              <Causes errors={traffic.errors} />
            </Section>
            <Audit audit={traffic.audit} />
          </Stack>
        </Grid.Col>
      </Grid>
    </Stack>
  );
}

function Money({ traffic }: { traffic: Shape<"Traffic"> }) {
  const { t } = useTranslation("operator");
  return (
    <Section title={t("overview.money")}>
      <Facts
        items={[
          [t("overview.credited"), <Usd key="credited" value={traffic.credited_usd} />],
          [t("overview.chargedToAccounts"), <Usd key="charged" value={traffic.totals.charged_usd} />],
          [
            t("overview.writtenOff"),
            <Explained key="written" note={t("overview.writtenOffNote")}>
              <Usd value={traffic.written_off_usd} />
            </Explained>,
          ],
          [
            t("overview.owed"),
            <Explained key="owed" note={t("overview.owedNote", { count: traffic.accounts })}>
              <Usd value={traffic.owed_usd} />
            </Explained>,
          ],
          [
            t("overview.held"),
            <Explained key="held" note={t("overview.heldNote", { count: traffic.running })}>
              <Usd value={traffic.held_usd} />
            </Explained>,
          ],
          [
            t("overview.accounts"),
            <Anchor key="accounts" component={Link} href="/operator/accounts" inherit>
              <Count value={traffic.accounts} />
            </Anchor>,
          ],
          [t("overview.firstOutput"), <Duration key="first" milliseconds={traffic.totals.first_output_ms} />],
        ]}
      />
    </Section>
  );
}

function Explained({ note, children }: { note: string; children: React.ReactNode }) {
  return (
    <>
      <Text span inherit fw={500}>
        {children}
      </Text>
      <Text size="xs" c="dimmed">
        {note}
      </Text>
    </>
  );
}

/** Findings are loud and on top; a calm audit is a panel below. */
function AuditAlarm({ audit }: { audit: Shape<"AuditResult"> }) {
  const { t } = useTranslation("operator");
  if (!audit.findings) return null;
  return (
    <Alert
      color="red"
      variant="filled"
      role="alert"
      icon={<IconAlertTriangle size={20} aria-hidden />}
      title={t("overview.auditFindings", { count: audit.findings })}
    >
      {t("overview.auditFindingsNote")}
    </Alert>
  );
}

function Audit({ audit }: { audit: Shape<"AuditResult"> }) {
  const { t } = useTranslation("operator");
  if (audit.ran === null) {
    return (
      <Section title={t("overview.audit")} description={t("overview.auditWhat")}>
        <Text size="sm">{t("overview.auditNotRun")}</Text>
      </Section>
    );
  }
  return (
    <Section title={t("overview.audit")} description={t("overview.auditWhat")}>
      <Facts
        items={[
          [
            t("overview.auditResult"),
            audit.findings ? (
              <Text span inherit c="red" fw={600} key="result">
                {t("overview.auditFindings", { count: audit.findings })}
              </Text>
            ) : (
              <Text span inherit c="green" fw={600} key="result">
                {t("overview.auditCalm")}
              </Text>
            ),
          ],
          [t("overview.auditInvariants"), <Count key="count" value={audit.invariants} />],
          [t("overview.auditRan"), <Moment key="ran" seconds={audit.ran} />],
          [t("overview.auditTook"), <Duration key="took" milliseconds={audit.took_ms} />],
        ]}
      />
    </Section>
  );
}

function Change({ before, after }: { before: number; after: number }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const change = growth(before, after);
  if (change === null) return t("overview.nothingBefore");
  const percent = formatShare(Math.abs(change), locale);
  if (change === 0) return t("overview.sameAsBefore");
  return t(change > 0 ? "overview.more" : "overview.less", { percent });
}

function FailedBefore({ totals, before }: { totals: Shape<"Totals">; before: Shape<"Totals"> }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const share = shareOf(before);
  if (totals.requests === 0) return <NoData />;
  const then =
    share === null
      ? t("overview.nothingBefore")
      : t("overview.before", { value: formatShare(share, locale) });
  return `${t("overview.failedCount", { count: totals.failed })} · ${then}`;
}

function shareOf(totals: Shape<"Totals">): number | null {
  return totals.requests === 0 ? null : totals.failed / totals.requests;
}

function Waiting() {
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 2, md: 4 }}>
        {["a", "b", "c", "d"].map((name) => (
          <Skeleton key={name} height={92} radius="lg" />
        ))}
      </SimpleGrid>
      <Skeleton height={320} radius="lg" />
      <Skeleton height={220} radius="lg" />
    </Stack>
  );
}
