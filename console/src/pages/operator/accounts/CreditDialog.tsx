import { Paper, SegmentedControl, Stack, Table, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { formatUsd } from "../../../format";
import { useLanguage } from "../../../i18n";
import { FormProblem, useFields } from "../../../ui/useFields";
import { Usd } from "../../../ui/values";
import { nanoOf, textOf } from "../parts/amounts";
import { Dialog, DialogForm } from "../parts/Dialog";
import { randomHex } from "../parts/random";
import { ACCOUNT_PATHS } from "./paths";

const REASON_CHARACTERS_MAX = 500;

interface Values extends Record<string, unknown> {
  direction: "add" | "take";
  amount_usd: string;
  reason: string;
}

/**
 * Adds to a balance, or takes from it, with what it will be afterwards. The idempotency key is made once for the dialog: however often the
 * button is pressed or the call repeated, the money moves once.
 */
export function CreditDialog({ account, onClose }: { account: Shape<"Account">; onClose: () => void }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const [idempotencyKey] = useState(() => `console-${randomHex(16)}`);
  const { form, problem, isBusy, submit } = useFields<Values, Shape<"Wallet">>({
    initialValues: { direction: "add", amount_usd: "", reason: "" },
    validate: {
      amount_usd: (text) => {
        const nano = nanoOf(text);
        return nano === null || nano <= 0n ? t("credit.amountWrong") : null;
      },
      reason: (text) => (text.trim() === "" ? t("credit.reasonMissing") : null),
    },
    run: (values) =>
      api.post("/api/operator/accounts/{account_id}/credit", {
        path: { account_id: account.id },
        body: {
          amount_usd: textOf(signed(values)),
          reason: values.reason.trim(),
          idempotency_key: idempotencyKey,
        },
      }),
    refreshes: ACCOUNT_PATHS,
    onDone: (wallet) => {
      const available = formatUsd(wallet.available_usd, locale);
      notifications.show({ color: "green", message: t("credit.done", { available }) });
      onClose();
    },
  });
  const isTaking = form.values.direction === "take";
  return (
    <Dialog isOpen onClose={onClose} title={t("credit.title")}>
      <DialogForm
        onSubmit={submit}
        onCancel={onClose}
        submit={t(isTaking ? "credit.doTake" : "credit.doAdd")}
        isBusy={isBusy}
        isDangerous={isTaking}
      >
        <Text size="sm" c="dimmed" style={{ overflowWrap: "anywhere" }}>
          {account.name}
        </Text>
        <SegmentedControl
          fullWidth
          aria-label={t("credit.direction")}
          data={[
            { value: "add", label: t("credit.add") },
            { value: "take", label: t("credit.take") },
          ]}
          {...form.getInputProps("direction")}
        />
        <TextInput
          label={t("credit.amount")}
          required
          inputMode="decimal"
          leftSection={USD_SIGN}
          data-autofocus
          autoComplete="off"
          {...form.getInputProps("amount_usd")}
        />
        <TextInput
          label={t("credit.reason")}
          description={t("credit.reasonNote")}
          required
          maxLength={REASON_CHARACTERS_MAX}
          {...form.getInputProps("reason")}
        />
        <Preview account={account} values={form.values} />
        <FormProblem problem={problem} />
      </DialogForm>
    </Dialog>
  );
}

function Preview({ account, values }: { account: Shape<"Account">; values: Values }) {
  const { t } = useTranslation("operator");
  const now = nanoOf(account.available_usd) ?? 0n;
  const amount = nanoOf(values.amount_usd) === null ? null : signed(values);
  const after = amount === null ? null : now + amount;
  return (
    <Paper withBorder px="sm" py={6} bg="var(--relay-ground)" aria-live="polite">
      <Stack gap={4}>
        <Table withRowBorders={false} verticalSpacing={3} fz="sm">
          <Table.Tbody>
            <Table.Tr>
              <Table.Td c="dimmed">{t("credit.now")}</Table.Td>
              <Table.Td ta="end">
                <Usd value={account.available_usd} />
              </Table.Td>
            </Table.Tr>
            <Table.Tr>
              <Table.Td c="dimmed">{t("credit.change")}</Table.Td>
              <Table.Td ta="end">
                <Usd value={amount === null ? null : textOf(amount)} isChange />
              </Table.Td>
            </Table.Tr>
            <Table.Tr fw={600}>
              <Table.Td>{t("credit.after")}</Table.Td>
              <Table.Td ta="end">
                <Usd value={after === null ? null : textOf(after)} />
              </Table.Td>
            </Table.Tr>
          </Table.Tbody>
        </Table>
        {after !== null && after < 0n && (
          <Text size="sm" c="red" px="xs">
            {t("credit.tooMuch")}
          </Text>
        )}
      </Stack>
    </Paper>
  );
}

function signed(values: Values): bigint {
  const nano = nanoOf(values.amount_usd) ?? 0n;
  return values.direction === "take" ? -nano : nano;
}

const USD_SIGN = "$";
