import { Table } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import { formatNumber } from "../../../format";
import { useLanguage } from "../../../i18n";
import { Usd } from "../../../ui/values";

export const KINDS = ["input", "output", "cache_read", "cache_write"] as const;

/** Prices in USD per million tokens, tier by tier. */
export function FiguresTable({ figures, label }: { figures: readonly Shape<"Figures">[]; label: string }) {
  const { t } = useTranslation("operator");
  const length = useLength();
  return (
    <Table.ScrollContainer minWidth={310} type="native" tabIndex={0} aria-label={label} role="group">
      <Table verticalSpacing={6} horizontalSpacing={5} fz="sm" withRowBorders={figures.length > 1}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("prices.length")}</Table.Th>
            {KINDS.map((kind) => (
              <Table.Th key={kind} ta="end">
                {t(`figure.${kind}`)}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {figures.map((tier) => (
            <Table.Tr key={tier.above_input_tokens}>
              <Table.Td>{length(tier.above_input_tokens)}</Table.Td>
              {KINDS.map((kind) => (
                <Table.Td key={kind} ta="end">
                  <Usd value={tier[kind]} />
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

/** For which prompts a tier holds, in words. */
export function useLength(): (aboveInputTokens: number) => string {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  return (above) =>
    above === 0 ? t("prices.everyLength") : t("prices.above", { tokens: formatNumber(above, locale) });
}
