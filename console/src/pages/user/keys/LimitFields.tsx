import { SimpleGrid, Text, TextInput } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";

const COUNTS = ["requests_per_minute", "tokens_per_minute", "concurrent_requests"] as const;
const AMOUNTS = ["spend_day_usd", "spend_month_usd", "spend_total_usd"] as const;

/** Limits as they are typed; empty is none. */
export type LimitValues = Record<(typeof COUNTS)[number] | (typeof AMOUNTS)[number], string>;

/** The fields of a key's limits, in a form whose `limits` they are. */
export function LimitFields<V extends { limits: LimitValues }>({ form }: { form: UseFormReturnType<V> }) {
  const { t } = useTranslation("user");
  return (
    <>
      <Text size="sm" c="dimmed" mt={4} mb="sm">
        {t("keys.limitsHint")}
      </Text>
      <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
        {COUNTS.map((name) => (
          <TextInput
            key={name}
            label={t(`keys.limit.${name}`)}
            placeholder={t("keys.unlimited")}
            inputMode="numeric"
            autoComplete="off"
            {...form.getInputProps(`limits.${name}`)}
          />
        ))}
        {AMOUNTS.map((name) => (
          <TextInput
            key={name}
            label={t(`keys.limit.${name}`)}
            placeholder={t("keys.unlimited")}
            inputMode="decimal"
            autoComplete="off"
            leftSection={DOLLAR}
            {...form.getInputProps(`limits.${name}`)}
          />
        ))}
      </SimpleGrid>
    </>
  );
}

const DOLLAR = "$";

/** What a form checks of them before it asks the server. */
export function validLimits(countWrong: string, usdWrong: string) {
  const count = (text: string) => (/^\s*([1-9]\d{0,11})?\s*$/.test(text) ? null : countWrong);
  const usd = (text: string) => (/^\s*(\d{1,9}(\.\d{1,9})?)?\s*$/.test(text) ? null : usdWrong);
  return {
    requests_per_minute: count,
    tokens_per_minute: count,
    concurrent_requests: count,
    spend_day_usd: usd,
    spend_month_usd: usd,
    spend_total_usd: usd,
  };
}

export function limitsOf(values: LimitValues): Shape<"Limits"> {
  const count = (text: string) => (text.trim() === "" ? null : Number(text.trim()));
  const usd = (text: string) => (text.trim() === "" ? null : text.trim());
  return {
    requests_per_minute: count(values.requests_per_minute),
    tokens_per_minute: count(values.tokens_per_minute),
    concurrent_requests: count(values.concurrent_requests),
    spend_day_usd: usd(values.spend_day_usd),
    spend_month_usd: usd(values.spend_month_usd),
    spend_total_usd: usd(values.spend_total_usd),
  };
}

export function limitValuesOf(limits: Shape<"Limits">): LimitValues {
  const text = (value: string | number | null | undefined) =>
    value === null || value === undefined ? "" : String(value);
  return {
    requests_per_minute: text(limits.requests_per_minute),
    tokens_per_minute: text(limits.tokens_per_minute),
    concurrent_requests: text(limits.concurrent_requests),
    spend_day_usd: text(limits.spend_day_usd),
    spend_month_usd: text(limits.spend_month_usd),
    spend_total_usd: text(limits.spend_total_usd),
  };
}
