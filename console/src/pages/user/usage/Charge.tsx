import { Group, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import { formatDay, formatNumber, formatUsd } from "../../../format";
import { useLanguage } from "../../../i18n";
import { compute, isSame } from "./arithmetic";
import { Estimated } from "./Receipt";
import classes from "./Receipt.module.css";

/** One charge: the rule in words, who counted, and the arithmetic from the tokens to the amount. */
export function Charge({ of, price }: { of: Shape<"ChargeView">; price: Shape<"PriceView"> }) {
  const { t } = useTranslation("user");
  const { locale } = useLanguage();
  const sum = compute(of.tokens, price);
  const exact = (usd: string) => formatUsd(usd, locale, true);
  const reasoning = of.tokens.reasoning_tokens ?? 0;
  return (
    <Stack gap={6}>
      <Text size="sm">
        {of.meaning}{" "}
        <Text span c="dimmed" size="xs" inherit>
          {t("receipt.rule", { rule: of.rule })}
        </Text>
      </Text>
      <Group gap="xs">
        <Text size="sm" c="dimmed">
          {sourceOf(of.source, t)}
        </Text>
        {of.is_estimated && <Estimated />}
      </Group>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable with the keyboard */}
      <section className={classes.scroll} tabIndex={0} aria-label={t("receipt.arithmetic")}>
        <table className={classes.table}>
          <thead>
            <tr>
              <th scope="col">{t("receipt.unit")}</th>
              <th scope="col">{t("receipt.tokens")}</th>
              <th scope="col">{t("receipt.perMillion")}</th>
              <th scope="col">{t("receipt.amount")}</th>
            </tr>
          </thead>
          <tbody>
            {sum.lines.map((line) => (
              <tr key={line.name}>
                <th scope="row">{t(`receipt.units.${line.name}`)}</th>
                <td>{formatNumber(line.tokens, locale)}</td>
                <td>{exact(line.price)}</td>
                <td>{exact(line.amount)}</td>
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row" colSpan={3}>
                {t("receipt.total")}
              </th>
              <td>{exact(sum.total)}</td>
            </tr>
            <tr>
              <th scope="row" colSpan={3}>
                {t("receipt.multiplied", { multiplier: sum.multiplier })}
              </th>
              <td>{exact(of.cost_usd)}</td>
            </tr>
            {Number(of.written_off_usd) !== 0 && (
              <tr>
                <th scope="row" colSpan={3}>
                  {t("receipt.writtenOff")}
                </th>
                <td>{exact(`-${of.written_off_usd}`)}</td>
              </tr>
            )}
            <tr>
              <th scope="row" colSpan={3}>
                {t("receipt.charged")}
              </th>
              <td>{exact(of.charged_usd)}</td>
            </tr>
          </tfoot>
        </table>
      </section>
      {reasoning > 0 && (
        <Text size="xs" c="dimmed">
          {t("receipt.reasoning", { count: reasoning })}
        </Text>
      )}
      <Text size="xs" c="dimmed">
        {t("receipt.priceVersion", { version: price.version, day: formatDay(price.effective, locale) })}
        {sum.aboveInputTokens > 0 &&
          t("receipt.tier", { tokens: formatNumber(sum.aboveInputTokens, locale) })}
      </Text>
      {!isSame(sum.cost, of.cost_usd) && (
        <Text size="xs" c="red">
          {t("receipt.differs", { computed: exact(sum.cost) })}
        </Text>
      )}
    </Stack>
  );
}

type Translate = ReturnType<typeof useTranslation<"user">>["t"];

function sourceOf(source: string, t: Translate): string {
  if (source === "upstream") return t("receipt.source.upstream");
  if (source === "upstream_clamped") return t("receipt.source.clamped");
  if (source === "") return t("receipt.source.unknown");
  if (source === "bytes") return t("receipt.source.bytes");
  return t("receipt.source.counted", { counter: source });
}
