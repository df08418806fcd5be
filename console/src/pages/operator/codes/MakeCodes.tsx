import { Alert, Button, Group, NumberInput, Stack, Text, TextInput } from "@mantine/core";
import { IconDownload, IconEyeOff } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { formatUsd } from "../../../format";
import { useLanguage } from "../../../i18n";
import { CodeBlock } from "../../../ui/CodeBlock";
import { CopyButton } from "../../../ui/CopyButton";
import { useConfirm } from "../../../ui/confirm";
import { FormProblem, useFields } from "../../../ui/useFields";
import { nanoOf, textOf } from "../parts/amounts";
import { Dialog, DialogForm } from "../parts/Dialog";
import { download } from "../parts/download";
import { fieldOfMoment, momentOfField } from "../parts/moments";

const CODES_MAX = 5000;
const SHOWN_CODES = 200;

interface Values extends Record<string, unknown> {
  batch: string;
  count: number | string;
  amount_usd: string;
  expires: string;
}

/** Makes a batch of codes, and shows them this once. */
export function MakeCodes({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation("operator");
  const [made, setMade] = useState<Shape<"MadeCodes"> | null>(null);
  if (made) return <Made made={made} onClose={onClose} />;
  return (
    <Dialog isOpen onClose={onClose} title={t("codes.make")}>
      <Form onClose={onClose} onMade={setMade} />
    </Dialog>
  );
}

function Form({ onClose, onMade }: { onClose: () => void; onMade: (made: Shape<"MadeCodes">) => void }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const { form, problem, isBusy, submit } = useFields<Values, Shape<"MadeCodes">>({
    initialValues: { batch: "", count: 10, amount_usd: "", expires: "" },
    validate: {
      batch: (name) => (/^[^/\\?#]{1,100}$/.test(name.trim()) ? null : t("codes.nameWrong")),
      count: (count) => (count === "" ? t("numberMissing") : null),
      amount_usd: (text) => ((nanoOf(text) ?? 0n) > 0n ? null : t("credit.amountWrong")),
      expires: (text) => {
        const moment = momentOfField(text);
        return moment !== null && moment * 1000 <= Date.now() ? t("prices.momentPast") : null;
      },
    },
    run: (values) =>
      api.post("/api/operator/codes", {
        body: {
          batch: values.batch.trim(),
          count: Number(values.count),
          amount_usd: values.amount_usd.trim(),
          expires: momentOfField(values.expires),
        },
      }),
    refreshes: ["/api/operator/codes"],
    onDone: onMade,
  });
  const nano = nanoOf(form.values.amount_usd);
  const count = Number(form.values.count);
  const total = nano === null || !Number.isSafeInteger(count) ? null : textOf(nano * BigInt(count));
  return (
    <DialogForm onSubmit={submit} onCancel={onClose} submit={t("codes.make")} isBusy={isBusy}>
      <TextInput
        label={t("codes.name")}
        description={t("codes.nameNote")}
        required
        data-autofocus
        autoComplete="off"
        {...form.getInputProps("batch")}
      />
      <Group grow align="flex-start">
        <NumberInput
          label={t("codes.count")}
          required
          min={1}
          max={CODES_MAX}
          allowDecimal={false}
          {...form.getInputProps("count")}
        />
        <TextInput
          label={t("codes.each")}
          required
          inputMode="decimal"
          leftSection={USD_SIGN}
          autoComplete="off"
          {...form.getInputProps("amount_usd")}
        />
      </Group>
      <TextInput
        type="datetime-local"
        label={t("codes.expiry")}
        description={t("codes.expiryNote")}
        min={fieldOfMoment(Date.now() / 1000)}
        {...form.getInputProps("expires")}
      />
      {total !== null && (
        <Text size="sm" aria-live="polite">
          {t("codes.total", { total: formatUsd(total, locale) })}
        </Text>
      )}
      <FormProblem problem={problem} />
    </DialogForm>
  );
}

function Made({ made, onClose }: { made: Shape<"MadeCodes">; onClose: () => void }) {
  const { t } = useTranslation(["operator", "common"]);
  const confirm = useConfirm();
  const [isKept, setKept] = useState(false);
  const text = made.codes.join("\n");
  const close = async () => {
    const isSure =
      isKept ||
      (await confirm({
        title: t("codes.closeTitle"),
        message: t("codes.closeMessage"),
        confirm: t("codes.closeConfirm"),
        isDangerous: true,
      }));
    if (isSure) onClose();
  };
  return (
    <Dialog
      isOpen
      onClose={() => void close()}
      title={t("codes.made", { count: made.codes.length })}
      size="lg"
    >
      <Stack gap="md">
        <Alert color="yellow" icon={<IconEyeOff size={18} aria-hidden />}>
          {t("common:shownOnce")}
        </Alert>
        <div style={{ maxHeight: 320, overflow: "auto" }}>
          <CodeBlock title={t("codes.codes")} code={made.codes.slice(0, SHOWN_CODES).join("\n")} />
        </div>
        {made.codes.length > SHOWN_CODES && (
          <Text size="sm" c="dimmed">
            {t("codes.shownPart", { count: SHOWN_CODES })}
          </Text>
        )}
        <Group justify="space-between" gap="xs">
          <Group gap="xs" onClickCapture={() => setKept(true)}>
            <CopyButton value={text} label={t("codes.copyAll")} />
            <Button
              variant="default"
              leftSection={<IconDownload size={16} aria-hidden />}
              onClick={() => download(`${made.batch.name.replace(/[^\w.-]+/g, "-")}.txt`, `${text}\n`)}
            >
              {t("codes.download")}
            </Button>
          </Group>
          <Button onClick={() => void close()}>{t("common:close")}</Button>
        </Group>
      </Stack>
    </Dialog>
  );
}

const USD_SIGN = "$";
