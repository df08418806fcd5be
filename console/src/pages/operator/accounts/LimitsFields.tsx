import { NumberInput, SimpleGrid, TextInput } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import { nanoOf } from "../parts/amounts";

export const COUNTS = ["requests_per_minute", "tokens_per_minute", "concurrent_requests"] as const;
export const SPENDS = ["spend_day_usd", "spend_month_usd", "spend_total_usd"] as const;

/** The API names a limit alone; in a form it is a part of `limits`. */
export const LIMIT_NAMES = Object.fromEntries([...COUNTS, ...SPENDS].map((name) => [name, `limits.${name}`]));

/** Limits while they are being written; empty is no limit. */
export interface LimitValues extends Record<string, unknown> {
  limits: Record<(typeof COUNTS)[number], number | string> & Record<(typeof SPENDS)[number], string>;
}

export function limitValues(limits: Shape<"Limits">): LimitValues["limits"] {
  return {
    requests_per_minute: limits.requests_per_minute ?? "",
    tokens_per_minute: limits.tokens_per_minute ?? "",
    concurrent_requests: limits.concurrent_requests ?? "",
    spend_day_usd: limits.spend_day_usd ?? "",
    spend_month_usd: limits.spend_month_usd ?? "",
    spend_total_usd: limits.spend_total_usd ?? "",
  };
}

export function limitsOf(values: LimitValues["limits"]): Shape<"Limits"> {
  const count = (name: (typeof COUNTS)[number]) => (values[name] === "" ? null : Number(values[name]));
  const spend = (name: (typeof SPENDS)[number]) => values[name].trim() || null;
  return {
    requests_per_minute: count("requests_per_minute"),
    tokens_per_minute: count("tokens_per_minute"),
    concurrent_requests: count("concurrent_requests"),
    spend_day_usd: spend("spend_day_usd"),
    spend_month_usd: spend("spend_month_usd"),
    spend_total_usd: spend("spend_total_usd"),
  };
}

/** Which of the amounts is none, for a form's `validate`. */
export function useLimitChecks() {
  const { t } = useTranslation("operator");
  const check = (text: string) => {
    if (text.trim() === "") return null;
    const nano = nanoOf(text);
    return nano === null || nano <= 0n ? t("limits.amountWrong") : null;
  };
  return { spend_day_usd: check, spend_month_usd: check, spend_total_usd: check };
}

export function LimitsFields<V extends LimitValues>({ form }: { form: UseFormReturnType<V> }) {
  const { t } = useTranslation("operator");
  return (
    <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }} spacing="sm">
      {COUNTS.map((name) => (
        <NumberInput
          key={name}
          label={t(`limits.${name}`)}
          placeholder={t("limits.unlimited")}
          min={1}
          allowDecimal={false}
          thousandSeparator=","
          {...form.getInputProps(`limits.${name}`)}
        />
      ))}
      {SPENDS.map((name) => (
        <TextInput
          key={name}
          label={t(`limits.${name}`)}
          placeholder={t("limits.unlimited")}
          inputMode="decimal"
          leftSection={USD_SIGN}
          {...form.getInputProps(`limits.${name}`)}
        />
      ))}
    </SimpleGrid>
  );
}

const USD_SIGN = "$";
