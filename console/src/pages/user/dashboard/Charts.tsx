import { SimpleGrid } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import { formatNumber, formatStep, formatTokens, formatUsd } from "../../../format";
import { useLanguage } from "../../../i18n";
import { Chart, type ChartPoint, type ChartSeries } from "../../../ui/Chart";
import { Section } from "../../../ui/Section";

const MODELS_MAX = 6;

/** Spending by model, requests and tokens over time. */
export function Charts({ overview }: { overview: Shape<"Overview"> }) {
  const { t } = useTranslation("user");
  const { locale } = useLanguage();
  const { points, step_seconds } = overview;
  const formatX = (began: number) => formatStep(began, step_seconds, locale);
  const spending = spendingOf(overview, t("dashboard.otherModels"));
  return (
    <>
      <Section size="h4" title={t("dashboard.spendByModel")}>
        <Chart
          kind="bar"
          isStacked
          label={t("dashboard.spendByModel")}
          points={spending.points}
          series={spending.series}
          formatX={formatX}
          formatY={(usd) => formatUsd(plain(usd), locale)}
        />
      </Section>
      <SimpleGrid cols={{ base: 1, lg: 2 }} spacing="lg">
        <Section size="h4" title={t("dashboard.requestsAndErrors")}>
          <Chart
            kind="bar"
            isStacked
            label={t("dashboard.requestsAndErrors")}
            points={points.map(({ began, requests, failed }) => ({
              x: began,
              good: requests - failed,
              failed,
            }))}
            series={[
              { key: "good", label: t("dashboard.succeeded"), color: "relay" },
              { key: "failed", label: t("dashboard.failed"), color: "red" },
            ]}
            formatX={formatX}
            formatY={(count) => formatNumber(count, locale)}
          />
        </Section>
        <Section size="h4" title={t("dashboard.tokens")}>
          <Chart
            kind="bar"
            isStacked
            label={t("dashboard.tokens")}
            points={points.map((point) => ({
              x: point.began,
              input: point.input_tokens - point.cached_tokens,
              cached: point.cached_tokens,
              output: point.output_tokens,
            }))}
            series={[
              { key: "input", label: t("dashboard.input"), color: "blue.6" },
              { key: "cached", label: t("dashboard.cached"), color: "blue.3" },
              { key: "output", label: t("dashboard.output"), color: "relay" },
            ]}
            formatX={formatX}
            formatY={(tokens) => formatTokens(tokens, locale)}
          />
        </Section>
      </SimpleGrid>
    </>
  );
}

/** The dearest models each for itself, all others as one. */
function spendingOf(
  { points, series }: Shape<"Overview">,
  othersLabel: string,
): { points: ChartPoint[]; series: ChartSeries[] } {
  const shown = series.slice(0, series.length > MODELS_MAX ? MODELS_MAX - 1 : MODELS_MAX);
  const others = series.slice(shown.length);
  return {
    points: points.map(({ began }, step) => {
      const point: ChartPoint = { x: began };
      shown.forEach((each, index) => {
        point[`model${index}`] = Number(each.charged_usd[step] ?? 0);
      });
      if (others.length > 0) {
        point.others = others.reduce((sum, each) => sum + Number(each.charged_usd[step] ?? 0), 0);
      }
      return point;
    }),
    series: [
      ...shown.map((each, index) => ({ key: `model${index}`, label: each.model })),
      ...(others.length > 0 ? [{ key: "others", label: othersLabel, color: "gray" }] : []),
    ],
  };
}

/** A number as decimal text; very small ones would have an exponent. */
function plain(usd: number): string {
  return usd.toFixed(9);
}
