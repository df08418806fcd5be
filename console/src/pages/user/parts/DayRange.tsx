import { Group, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";

/** The first and the last day that are wanted, as `2026-01-31` or empty. */
export function DayRange({
  first,
  last,
  onChange,
}: {
  first: string;
  last: string;
  onChange: (change: { first?: string; last?: string }) => void;
}) {
  const { t } = useTranslation("user");
  return (
    <Group gap="xs" wrap="nowrap" align="flex-end" data-whole>
      <TextInput
        type="date"
        label={t("days.first")}
        title={t("days.utc")}
        flex={1}
        miw={0}
        value={first}
        {...(last ? { max: last } : {})}
        onChange={(event) => onChange({ first: event.currentTarget.value })}
      />
      <TextInput
        type="date"
        label={t("days.last")}
        title={t("days.utc")}
        flex={1}
        miw={0}
        value={last}
        {...(first ? { min: first } : {})}
        onChange={(event) => onChange({ last: event.currentTarget.value })}
      />
    </Group>
  );
}

/** The days as the API takes them, whose end is not included. A day that is none is left out. */
export function daysQuery(first: string, last: string): { first_day?: string; end_day?: string } {
  const end = isDay(last) ? new Date(Date.parse(`${last}T00:00:00Z`) + 86_400_000) : null;
  return {
    ...(isDay(first) ? { first_day: first } : {}),
    ...(end ? { end_day: end.toISOString().slice(0, 10) } : {}),
  };
}

function isDay(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(`${text}T00:00:00Z`));
}
