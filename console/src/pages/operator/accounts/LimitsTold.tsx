import { Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import { formatNumber, formatUsd } from "../../../format";
import { useLanguage } from "../../../i18n";
import { COUNTS, SPENDS } from "./LimitsFields";

/** Limits in words, under each other; says so where there is none. */
export function LimitsTold({ limits }: { limits: Shape<"Limits"> }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const told = [
    ...COUNTS.map((name) => [name, limits[name]] as const).map(([name, most]) =>
      most == null ? null : `${t(`limits.${name}`)}: ${formatNumber(most, locale)}`,
    ),
    ...SPENDS.map((name) => [name, limits[name]] as const).map(([name, most]) =>
      most == null ? null : `${t(`limits.${name}`)}: ${formatUsd(most, locale)}`,
    ),
  ].filter((each) => each !== null);
  if (told.length === 0) return t("limits.unlimited");
  return told.map((each) => (
    <Text key={each} size="sm">
      {each}
    </Text>
  ));
}
