import { Alert, Badge, Button, Checkbox, Group, Stack, Table, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { formatMoment, formatShare, formatUsd } from "../../../format";
import { useLanguage } from "../../../i18n";
import { useAction } from "../../../ui/useAction";
import { growth } from "../parts/amounts";
import { Dialog } from "../parts/Dialog";
import { FiguresTable, useLength } from "./FiguresTable";

/** What a new version would change, before it is stored. What changes a lot must be confirmed by itself. */
export function PriceReview({
  ask,
  preview,
  isFirst,
  onClose,
  onDone,
}: {
  ask: Shape<"SetPrice">;
  preview: Shape<"PricePreview">;
  isFirst: boolean;
  onClose: () => void;
  onDone: () => void;
}) {
  const { t } = useTranslation(["operator", "common"]);
  const { locale } = useLanguage();
  const [isSure, setSure] = useState(false);
  const large = preview.differences.filter((each) => each.is_large).length;
  const save = useAction((body: Shape<"SetPrice">) => api.post("/api/operator/prices", { body }), {
    refreshes: ["/api/operator/prices", "/api/operator/prices/{model}"],
    done: t("prices.saved", { model: ask.model }),
    onDone,
  });
  return (
    <Dialog isOpen onClose={onClose} title={t("prices.reviewTitle", { model: ask.model })} size="lg">
      <Stack gap="md">
        <Text size="sm">
          {ask.effective
            ? t("prices.reviewLater", { moment: formatMoment(ask.effective, locale) })
            : t("prices.reviewNow")}
        </Text>
        {preview.differences.length > 0 ? (
          <Differences differences={preview.differences} />
        ) : (
          <>
            <Text size="sm">{t(isFirst ? "prices.reviewFirst" : "prices.reviewSame")}</Text>
            <FiguresTable figures={ask.figures} label={t("prices.figures")} />
          </>
        )}
        {large > 0 && (
          <Alert
            color="red"
            icon={<IconAlertTriangle size={18} aria-hidden />}
            title={t("prices.largeTitle", { count: large })}
          >
            <Stack gap="sm">
              <Text size="sm">{t("prices.largeNote")}</Text>
              <Checkbox
                label={t("prices.largeSure")}
                checked={isSure}
                onChange={(event) => setSure(event.currentTarget.checked)}
              />
            </Stack>
          </Alert>
        )}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            {t("prices.goOnEditing")}
          </Button>
          <Button
            disabled={large > 0 && !isSure}
            loading={save.isPending}
            onClick={() => save.mutate(ask)}
            {...(large > 0 ? { color: "red" } : {})}
          >
            {t(ask.effective ? "prices.saveLater" : "prices.saveNow")}
          </Button>
        </Group>
      </Stack>
    </Dialog>
  );
}

function Differences({ differences }: { differences: readonly Shape<"PriceDifference">[] }) {
  const { t } = useTranslation("operator");
  const name = useName();
  return (
    <Table verticalSpacing={8} fz="sm">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>{t("prices.what")}</Table.Th>
          <Table.Th ta="end">{t("prices.before")}</Table.Th>
          <Table.Th ta="end">{t("prices.after")}</Table.Th>
          <Table.Th ta="end">{t("prices.difference")}</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {differences.map((each) => (
          <Table.Tr key={each.what} bg={each.is_large ? "var(--mantine-color-red-light)" : undefined}>
            <Table.Td fw={each.is_large ? 600 : undefined}>{name(each.what)}</Table.Td>
            <Table.Td ta="end" c="dimmed" style={{ overflowWrap: "anywhere" }}>
              <Value what={each.what} text={each.before} />
            </Table.Td>
            <Table.Td ta="end" fw={600} style={{ overflowWrap: "anywhere" }}>
              <Value what={each.what} text={each.after} />
            </Table.Td>
            <Table.Td ta="end">
              <Percent difference={each} />
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function Value({ what, text }: { what: string; text: string }) {
  const { t } = useTranslation(["operator", "common"]);
  const { locale } = useLanguage();
  if (text === "" || text === "unknown") return t("none");
  return parse(what) === null ? text : formatUsd(text, locale, true);
}

function Percent({ difference }: { difference: Shape<"PriceDifference"> }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  if (parse(difference.what) === null) return null;
  const change = growth(Number(difference.before), Number(difference.after));
  const text =
    change === null
      ? t("prices.fromFree")
      : `${change > 0 ? "+" : "−"}${formatShare(Math.abs(change), locale)}`;
  return difference.is_large ? (
    <Badge color="red" variant="filled" tt="none">
      {text}
    </Badge>
  ) : (
    text
  );
}

const FIGURE = /^(input|output|cache read|cache write)(?: above (\d+))?$/;

/** Which figure a difference is about, in the words of `relay price import`; null for what is no price. */
function parse(
  what: string,
): { kind: "input" | "output" | "cache_read" | "cache_write"; above: number } | null {
  const found = FIGURE.exec(what);
  if (!found) return null;
  return {
    kind: found[1]?.replace(" ", "_") as "input",
    above: Number(found[2] ?? 0),
  };
}

function useName(): (what: string) => string {
  const { t } = useTranslation("operator");
  const length = useLength();
  return (what) => {
    const figure = parse(what);
    if (figure === null) {
      if (what === "max_output_tokens") return t("prices.maxOutput");
      if (what === "context_tokens") return t("prices.context");
      return what === "capabilities" ? t("prices.capabilities") : what;
    }
    const kind = t(`figure.${figure.kind}`);
    return figure.above === 0 ? kind : `${kind} · ${length(figure.above)}`;
  };
}
