import { Anchor, Paper, SimpleGrid, Text } from "@mantine/core";
import { IconArrowDownRight, IconArrowUpRight, IconEqual } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Trans, useTranslation } from "react-i18next";
import { Link } from "wouter";
import { apiQuery, type Shape } from "../../../api/queries";
import { formatNumber, formatShare } from "../../../format";
import { useLanguage } from "../../../i18n";
import { Count, Duration, NoData, Share, Tokens, Usd } from "../../../ui/values";
import classes from "./Figures.module.css";

type Totals = Shape<"Totals">;

/** The six figures that matter, each with how it has changed against the span before. */
export function Figures({ overview }: { overview: Shape<"Overview"> }) {
  const { t } = useTranslation("user");
  const { totals, before } = overview;
  const changeOf = (measure: (totals: Totals) => number | null, isLessBetter = false) => (
    <Change now={measure(totals)} before={measure(before)} isLessBetter={isLessBetter} />
  );
  return (
    <SimpleGrid cols={{ base: 2, sm: 3, xl: 6 }} spacing={{ base: "xs", sm: "md" }} component="dl" m={0}>
      <Balance />
      <Figure label={t("dashboard.spend")} value={<Usd value={totals.charged_usd} />}>
        {changeOf((each) => Number(each.charged_usd))}
      </Figure>
      <Figure label={t("dashboard.requests")} value={<Count value={totals.requests} />}>
        {changeOf((each) => each.requests)}
      </Figure>
      <Figure label={t("dashboard.tokens")} value={<Tokens value={tokensOf(totals)} />}>
        {changeOf(tokensOf)}
      </Figure>
      <Figure
        label={t("dashboard.firstToken")}
        hint={t("dashboard.firstTokenHint")}
        value={<Duration milliseconds={totals.first_output_ms} />}
      >
        {changeOf((each) => each.first_output_ms, true)}
      </Figure>
      <Figure
        label={t("dashboard.errors")}
        hint={t("dashboard.errorsHint", { count: totals.failed })}
        value={<Share value={errorsOf(totals)} />}
      >
        <Points now={errorsOf(totals)} before={errorsOf(before)} />
      </Figure>
    </SimpleGrid>
  );
}

function Balance() {
  const { t } = useTranslation("user");
  const wallet = useQuery(apiQuery("/api/wallet")).data;
  return (
    <Figure
      label={
        <Anchor component={Link} href="/wallet" inherit c="inherit">
          {t("dashboard.balance")}
        </Anchor>
      }
      value={wallet ? <Usd value={wallet.available_usd} /> : <NoData />}
    >
      {wallet && Number(wallet.held_usd) > 0 && (
        <Trans t={t} i18nKey="dashboard.held" components={{ amount: <Usd value={wallet.held_usd} /> }} />
      )}
    </Figure>
  );
}

function Figure({
  label,
  value,
  hint,
  children,
}: {
  label: ReactNode;
  value: ReactNode;
  hint?: string;
  children?: ReactNode;
}) {
  return (
    <Paper withBorder radius="lg" p={{ base: "sm", sm: "md" }} className={classes.figure}>
      <Text component="dt" size="sm" c="dimmed" fw={500} {...(hint ? { title: hint } : {})}>
        {label}
      </Text>
      <dd className={classes.value}>{value}</dd>
      <dd className={classes.change}>{children}</dd>
    </Paper>
  );
}

/** The change in per cent. Where there was nothing before there is nothing to compare with. */
function Change({
  now,
  before,
  isLessBetter,
}: {
  now: number | null;
  before: number | null;
  isLessBetter: boolean;
}) {
  const { locale } = useLanguage();
  if (now === null || !before) return null;
  const change = now / before - 1;
  const size = Math.abs(change);
  const written = size >= 10 ? `${formatNumber(now / before, locale)}×` : formatShare(round(size), locale);
  return <Arrow direction={Math.sign(round(size) * change)} isLessBetter={isLessBetter} written={written} />;
}

/** The change of a share, in percentage points. */
function Points({ now, before }: { now: number | null; before: number | null }) {
  const { t } = useTranslation("user");
  const { locale } = useLanguage();
  if (now === null || before === null) return null;
  const points = Math.round((now - before) * 1000) / 10;
  return (
    <Arrow
      direction={Math.sign(points)}
      isLessBetter
      written={t("dashboard.points", { points: formatNumber(Math.abs(points), locale, 1) })}
    />
  );
}

function Arrow({
  direction,
  isLessBetter,
  written,
}: {
  direction: number;
  isLessBetter: boolean;
  written: string;
}) {
  const { t } = useTranslation("user");
  const Icon = direction === 0 ? IconEqual : direction > 0 ? IconArrowUpRight : IconArrowDownRight;
  const spoken = t(direction === 0 ? "dashboard.same" : direction > 0 ? "dashboard.more" : "dashboard.less", {
    change: written,
  });
  const color = !isLessBetter || direction === 0 ? undefined : direction > 0 ? "red" : "green";
  return (
    <Text inherit component="span" c={color} title={spoken} className={classes.arrow}>
      <Icon size={14} aria-hidden />
      <span aria-hidden>{direction === 0 ? t("dashboard.unchanged") : written}</span>
      <span className={classes.spoken}>{spoken}</span>
    </Text>
  );
}

function tokensOf(totals: Totals): number {
  return totals.input_tokens + totals.output_tokens;
}

function errorsOf(totals: Totals): number | null {
  return totals.requests > 0 ? totals.failed / totals.requests : null;
}

function round(share: number): number {
  return Math.round(share * 1000) / 1000;
}
