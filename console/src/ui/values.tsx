import { Text, Tooltip, VisuallyHidden } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import {
  formatDuration,
  formatMoment,
  formatNumber,
  formatRelative,
  formatShare,
  formatTokens,
  formatUsd,
  isRounded,
} from "../format";
import { useLanguage } from "../i18n";

const DASH = "–";

type Maybe<T> = T | null | undefined;

/** A dash that is read out as "no data": nothing was measured, and nothing is made up. */
export function NoData() {
  const { t } = useTranslation("common");
  return (
    <Text span c="dimmed" inherit title={t("noData")}>
      <span aria-hidden>{DASH}</span>
      <VisuallyHidden>{t("noData")}</VisuallyHidden>
    </Text>
  );
}

/** An amount in USD with sensible digits; the whole of it when pointed at. `isChange` writes a plus as well, and colours it. */
export function Usd({ value, isChange = false }: { value: Maybe<string>; isChange?: boolean }) {
  const { locale } = useLanguage();
  if (value === null || value === undefined) return <NoData />;
  const isGain = isChange && !value.startsWith("-") && Number(value) !== 0;
  const shown = (
    <Text span inherit className="figures" c={isGain ? "green" : undefined} style={{ whiteSpace: "nowrap" }}>
      {isGain && "+"}
      {formatUsd(value, locale)}
    </Text>
  );
  return isRounded(value) ? <Exactly label={formatUsd(value, locale, true)}>{shown}</Exactly> : shown;
}

/** A count of tokens, short from a million on, exact when pointed at. */
export function Tokens({ value }: { value: Maybe<number> }) {
  const { locale } = useLanguage();
  if (value === null || value === undefined) return <NoData />;
  const shown = <span className="figures">{formatTokens(value, locale)}</span>;
  return Math.abs(value) < 1_000_000 ? shown : <Exactly label={formatNumber(value, locale)}>{shown}</Exactly>;
}

/** A number with its groups. */
export function Count({ value, fractionDigits = 0 }: { value: Maybe<number>; fractionDigits?: number }) {
  const { locale } = useLanguage();
  if (value === null || value === undefined) return <NoData />;
  return <span className="figures">{formatNumber(value, locale, fractionDigits)}</span>;
}

/** A share from 0 to 1, as per cent. */
export function Share({ value }: { value: Maybe<number> }) {
  const { locale } = useLanguage();
  if (value === null || value === undefined) return <NoData />;
  return <span className="figures">{formatShare(value, locale)}</span>;
}

/** Milliseconds in the unit that fits. */
export function Duration({ milliseconds }: { milliseconds: Maybe<number> }) {
  const { locale } = useLanguage();
  if (milliseconds === null || milliseconds === undefined) return <NoData />;
  return (
    <span className="figures" style={{ whiteSpace: "nowrap" }}>
      {formatDuration(milliseconds, locale)}
    </span>
  );
}

/** A moment as how long ago it is, exact when pointed at. With `isAbsolute` date and time. */
export function Moment({ seconds, isAbsolute = false }: { seconds: Maybe<number>; isAbsolute?: boolean }) {
  const { locale } = useLanguage();
  if (seconds === null || seconds === undefined) return <NoData />;
  const text = isAbsolute
    ? formatMoment(seconds, locale)
    : formatRelative(seconds, Date.now() / 1000, locale);
  return (
    <Exactly label={formatMoment(seconds, locale, true)}>
      <time dateTime={new Date(seconds * 1000).toISOString()} style={{ whiteSpace: "nowrap" }}>
        {text}
      </time>
    </Exactly>
  );
}

/** Shows `label` while `children` are pointed at or focused. */
export function Exactly({ label, children }: { label: string; children: ReactNode }) {
  return (
    <Tooltip label={label} events={{ hover: true, focus: true, touch: true }} multiline maw={320}>
      <span>{children}</span>
    </Tooltip>
  );
}
