import { Badge, Group, Stack, Table, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import { formatNumber, formatUsd } from "../../../format";
import { useLanguage } from "../../../i18n";
import { Section } from "../../../ui/Section";
import { Moment } from "../../../ui/values";
import { Facts } from "../parts/Facts";
import { KINDS, useLength } from "../prices/FiguresTable";

type Charge = Shape<"ReceiptView">["charges"][number];

/** The receipt: each charge with the whole reckoning, what was held, and the price that was in force. */
export function Receipt({ receipt }: { receipt: Shape<"ReceiptView"> }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  return (
    <Section title={t("receipt.title")} description={t("receipt.note")}>
      {receipt.charges.length === 0 && (
        <Text size="sm">{t(receipt.closed === null ? "receipt.notYet" : "receipt.noCharge")}</Text>
      )}
      {receipt.charges.map((charge, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a charge has no other name than its place
        <Reckoning key={index} charge={charge} receipt={receipt} />
      ))}
      <Facts
        items={[
          [
            t("receipt.price"),
            <span key="price">
              {t("prices.version", { version: receipt.price.version })}
              {" · "}
              {t("prices.from")} <Moment seconds={receipt.price.effective} isAbsolute />
            </span>,
          ],
          [
            t("receipt.hold"),
            t("receipt.holdTold", {
              first: formatUsd(receipt.hold.first_usd, locale, true),
              last: formatUsd(receipt.hold.last_usd, locale, true),
              count: receipt.hold.extensions,
            }),
          ],
          [
            t("receipt.bounds"),
            t("receipt.boundsTold", {
              input: formatNumber(receipt.hold.input_tokens_bound, locale),
              output: formatNumber(receipt.hold.output_tokens_bound, locale),
            }),
          ],
        ]}
      />
    </Section>
  );
}

function Reckoning({ charge, receipt }: { charge: Charge; receipt: Shape<"ReceiptView"> }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const length = useLength();
  const { tokens } = charge;
  const input = tokens.input_tokens ?? 0;
  const cacheRead = tokens.cache_read_tokens ?? 0;
  const cacheWrite = tokens.cache_write_tokens ?? 0;
  const tier = receipt.price.figures
    .filter((each) => each.above_input_tokens === 0 || input > each.above_input_tokens)
    .at(-1);
  const counts = {
    input: input - cacheRead - cacheWrite,
    output: tokens.output_tokens ?? 0,
    cache_read: cacheRead,
    cache_write: cacheWrite,
  };
  const usd = (text: string) => formatUsd(text, locale, true);
  return (
    <Stack gap="sm">
      <Group gap={6}>
        <Badge variant="default">{charge.rule}</Badge>
        <Text size="sm" fw={600} flex="1 1 240px">
          {charge.meaning}
        </Text>
        {charge.is_estimated && (
          <Badge variant="light" color="yellow" tt="none">
            {t("receipt.estimated")}
          </Badge>
        )}
        {charge.is_late && (
          <Badge variant="light" color="yellow" tt="none">
            {t("receipt.late")}
          </Badge>
        )}
      </Group>
      <Table.ScrollContainer
        minWidth={300}
        type="native"
        tabIndex={0}
        role="group"
        aria-label={t("receipt.reckoning")}
      >
        <Table verticalSpacing={6} horizontalSpacing={6} fz="sm">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t("receipt.what")}</Table.Th>
              <Table.Th ta="end">{t("receipt.tokens")}</Table.Th>
              <Table.Th ta="end">{t("receipt.perMillion")}</Table.Th>
              <Table.Th ta="end">{t("receipt.sum")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {KINDS.filter((kind) => counts[kind] > 0 || kind === "input" || kind === "output").map((kind) => (
              <Table.Tr key={kind}>
                <Table.Td>{t(`figure.${kind}`)}</Table.Td>
                <Table.Td ta="end">{formatNumber(counts[kind], locale)}</Table.Td>
                <Table.Td ta="end">{tier && usd(tier[kind])}</Table.Td>
                <Table.Td ta="end">{tier && usd(product(counts[kind], tier[kind]))}</Table.Td>
              </Table.Tr>
            ))}
            {Number(receipt.price.multiplier) !== 1 && (
              <Table.Tr>
                <Table.Td colSpan={3}>{t("receipt.multiplier")}</Table.Td>
                <Table.Td ta="end">{`× ${receipt.price.multiplier}`}</Table.Td>
              </Table.Tr>
            )}
            <Table.Tr>
              <Table.Td colSpan={3}>{t("receipt.cost")}</Table.Td>
              <Table.Td ta="end">{usd(charge.cost_usd)}</Table.Td>
            </Table.Tr>
            {Number(charge.written_off_usd) !== 0 && (
              <Table.Tr>
                <Table.Td colSpan={3}>{t("receipt.writtenOff")}</Table.Td>
                <Table.Td ta="end">{`− ${usd(charge.written_off_usd)}`}</Table.Td>
              </Table.Tr>
            )}
            <Table.Tr fw={650}>
              <Table.Td colSpan={3}>{t("receipt.charged")}</Table.Td>
              <Table.Td ta="end">{usd(charge.charged_usd)}</Table.Td>
            </Table.Tr>
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <Text size="xs" c="dimmed">
        {[
          t("receipt.countedBy", { source: charge.source || t("receipt.nobody") }),
          tier && receipt.price.figures.length > 1 ? length(tier.above_input_tokens) : null,
          (tokens.reasoning_tokens ?? 0) > 0
            ? t("receipt.reasoning", { tokens: formatNumber(tokens.reasoning_tokens ?? 0, locale) })
            : null,
        ]
          .filter((each) => each !== null)
          .join(" · ")}
      </Text>
    </Stack>
  );
}

/** Tokens times a price per million, exact. Prices have up to six places, so a product has up to twelve. */
function product(count: number, perMillion: string): string {
  const [whole = "0", fraction = ""] = perMillion.split(".");
  const pico = BigInt(count) * BigInt(whole + fraction.padEnd(6, "0").slice(0, 6));
  const digits = pico.toString().padStart(13, "0");
  const rest = digits.slice(-12).replace(/0+$/, "");
  return `${digits.slice(0, -12)}${rest ? `.${rest}` : ""}`;
}
