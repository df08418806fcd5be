import { Group, Progress, SimpleGrid, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import { formatShare } from "../../../format";
import { useLanguage } from "../../../i18n";
import { Count, Tokens, Usd } from "../../../ui/values";

interface Row {
  name: "requests" | "tokens" | "running" | "day" | "month" | "total";
  used: ReactNode;
  limit: ReactNode;
  share: number;
}

/** Every limit that is set, with how much of it is used; `none` where there is no limit. */
export function Limits({
  limits,
  used,
  none = null,
  columns = 1,
}: {
  limits: Shape<"Limits">;
  used: Shape<"Used">;
  none?: ReactNode;
  /** Of a wide screen. */
  columns?: number;
}) {
  const { t } = useTranslation("user");
  const { locale } = useLanguage();
  const rows = rowsOf(limits, used);
  if (rows.length === 0) return none;
  return (
    <SimpleGrid cols={{ base: 1, sm: columns }} spacing="xl" verticalSpacing="sm">
      {rows.map(({ name, used, limit, share }) => (
        <div key={name}>
          <Group justify="space-between" gap="xs" mb={4}>
            <Text size="sm">{t(`limit.${name}`)}</Text>
            <Text size="sm" c="dimmed" component="span">
              {used}
              {SEPARATOR}
              {limit}
            </Text>
          </Group>
          <Progress
            value={Math.min(share, 1) * 100}
            color={share >= 1 ? "red" : share >= 0.8 ? "yellow" : "relay"}
            size="sm"
            aria-label={t("limit.used", { limit: t(`limit.${name}`), share: formatShare(share, locale) })}
          />
        </div>
      ))}
    </SimpleGrid>
  );
}

/** The limit that is used most, as a share from 0 to 1; null where there is none. */
export function tightest(
  limits: Shape<"Limits">,
  used: Shape<"Used">,
): { name: Row["name"]; share: number } | null {
  return rowsOf(limits, used).reduce<Row | null>(
    (most, row) => (most === null || row.share > most.share ? row : most),
    null,
  );
}

const SEPARATOR = " / ";

function rowsOf(limits: Shape<"Limits">, used: Shape<"Used">): Row[] {
  const rows: Row[] = [];
  const counted = (name: Row["name"], spent: number, limit: number | null | undefined) => {
    if (limit === null || limit === undefined) return;
    const Figure = name === "tokens" ? Tokens : Count;
    rows.push({
      name,
      used: <Figure value={spent} />,
      limit: <Figure value={limit} />,
      share: shareOf(spent, limit),
    });
  };
  const priced = (name: Row["name"], spent: string, limit: string | null | undefined) => {
    if (limit === null || limit === undefined) return;
    rows.push({
      name,
      used: <Usd value={spent} />,
      limit: <Usd value={limit} />,
      share: shareOf(Number(spent), Number(limit)),
    });
  };
  counted("requests", used.requests, limits.requests_per_minute);
  counted("tokens", used.tokens, limits.tokens_per_minute);
  counted("running", used.running, limits.concurrent_requests);
  priced("day", used.day_usd, limits.spend_day_usd);
  priced("month", used.month_usd, limits.spend_month_usd);
  priced("total", used.total_usd, limits.spend_total_usd);
  return rows;
}

function shareOf(spent: number, limit: number): number {
  return limit > 0 ? spent / limit : 1;
}
