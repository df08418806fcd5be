import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import { formatNumber, formatUsd } from "../../../format";
import { useLanguage } from "../../../i18n";
import { Chart } from "../../../ui/Chart";

const HOUR_SECONDS = 3600;

/** Requests that went well and that failed, on each other. */
export function TrafficChart({ traffic }: { traffic: Shape<"Traffic"> }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const formatX = useStep(traffic.step_seconds);
  return (
    <Chart
      kind="bar"
      isStacked
      label={t("overview.traffic")}
      points={points(traffic, (point) => ({ good: point.requests - point.failed, failed: point.failed }))}
      series={[
        { key: "good", label: t("overview.good"), color: "relay.5" },
        { key: "failed", label: t("overview.failedSeries"), color: "red.5" },
      ]}
      formatX={formatX}
      formatY={(count) => formatNumber(count, locale)}
    />
  );
}

/** What was charged in each step. */
export function MoneyChart({ traffic }: { traffic: Shape<"Traffic"> }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const formatX = useStep(traffic.step_seconds);
  return (
    <Chart
      kind="area"
      label={t("overview.chargedOverTime")}
      points={points(traffic, (point) => ({ charged: Number(point.charged_usd) }))}
      series={[{ key: "charged", label: t("overview.charged"), color: "blue.5" }]}
      formatX={formatX}
      formatY={(usd) => formatUsd(usd.toFixed(9), locale)}
    />
  );
}

function points(
  traffic: Shape<"Traffic">,
  figures: (point: Shape<"Point">) => Record<string, number>,
): ({ x: number } & Record<string, number>)[] {
  if (traffic.totals.requests === 0) return [];
  return traffic.points.map((point) => ({ x: point.began, ...figures(point) }));
}

/** Hours in the person's time zone; days as the server counts them, in UTC. */
function useStep(stepSeconds: number): (seconds: number) => string {
  const { locale } = useLanguage();
  const hours = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
  const days = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", timeZone: "UTC" });
  if (stepSeconds < HOUR_SECONDS * 24) return (seconds) => hours.format(seconds * 1000);
  return (seconds) => days.format(seconds * 1000);
}
