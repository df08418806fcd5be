import { Button, Group, Progress, SimpleGrid, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { formatNumber, formatUsd } from "../../../format";
import { useLanguage } from "../../../i18n";
import { Section } from "../../../ui/Section";
import { FormProblem, useFields } from "../../../ui/useFields";
import { Dialog, DialogForm } from "../parts/Dialog";
import {
  COUNTS,
  LIMIT_NAMES,
  LimitsFields,
  type LimitValues,
  limitsOf,
  limitValues,
  SPENDS,
  useLimitChecks,
} from "./LimitsFields";

const USED = {
  requests_per_minute: "requests",
  tokens_per_minute: "tokens",
  concurrent_requests: "running",
  spend_day_usd: "day_usd",
  spend_month_usd: "month_usd",
  spend_total_usd: "total_usd",
} as const;

/** The limits in force with how much of each is used; the account's own can be changed. */
export function AccountLimits({ detail }: { detail: Shape<"AccountDetail"> }) {
  const { t } = useTranslation("operator");
  const [isEditing, setEditing] = useState(false);
  return (
    <Section
      title={t("account.limits")}
      description={t(detail.account.group_name === null ? "account.limitsNote" : "account.limitsOfGroupNote")}
      actions={
        <Button variant="default" size="sm" onClick={() => setEditing(true)}>
          {t("account.changeLimits")}
        </Button>
      }
    >
      <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }} spacing="lg">
        {[...COUNTS, ...SPENDS].map((name) => (
          <Limit key={name} name={name} detail={detail} />
        ))}
      </SimpleGrid>
      {isEditing && <LimitsDialog detail={detail} onClose={() => setEditing(false)} />}
    </Section>
  );
}

function Limit({ name, detail }: { name: keyof typeof USED; detail: Shape<"AccountDetail"> }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const most = detail.limits[name] ?? null;
  const used = detail.used[USED[name]];
  const write = (value: number | string) =>
    typeof value === "string" ? formatUsd(value, locale) : formatNumber(value, locale);
  const share = most === null || Number(most) === 0 ? 0 : Number(used) / Number(most);
  return (
    <Stack gap={4}>
      <Text size="sm" c="dimmed">
        {t(`limits.${name}`)}
      </Text>
      <Text size="sm" fw={600} className="figures">
        {most === null ? t("limits.unlimited") : t("limits.usedOf", { used: write(used), most: write(most) })}
      </Text>
      {most !== null && (
        <Progress
          value={Math.min(share, 1) * 100}
          size="sm"
          color={share >= 1 ? "red" : share >= 0.8 ? "yellow" : "relay"}
          aria-label={t(`limits.${name}`)}
        />
      )}
      {most !== null && detail.own_limits[name] == null && (
        <Text size="xs" c="dimmed">
          {t("limits.ofGroup")}
        </Text>
      )}
    </Stack>
  );
}

function LimitsDialog({ detail, onClose }: { detail: Shape<"AccountDetail">; onClose: () => void }) {
  const { t } = useTranslation("operator");
  const limitChecks = useLimitChecks();
  const { form, problem, isBusy, submit } = useFields<LimitValues, Shape<"AccountDetail">>({
    initialValues: { limits: limitValues(detail.own_limits) },
    validate: { limits: limitChecks },
    run: (values) =>
      api.put("/api/operator/accounts/{account_id}/limits", {
        path: { account_id: detail.account.id },
        body: limitsOf(values.limits),
      }),
    refreshes: ["/api/operator/accounts/{account_id}"],
    onDone: () => {
      notifications.show({ color: "green", message: t("account.limitsSet") });
      onClose();
    },
    names: LIMIT_NAMES,
  });
  return (
    <Dialog isOpen onClose={onClose} title={t("account.changeLimits")} size="lg">
      <DialogForm onSubmit={submit} onCancel={onClose} submit={t("save")} isBusy={isBusy}>
        <Text size="sm" c="dimmed">
          {t("account.ownLimitsNote")}
        </Text>
        <LimitsFields form={form} />
        <Group>
          <Button
            variant="subtle"
            size="compact-sm"
            onClick={() => form.setFieldValue("limits", limitValues({}))}
          >
            {t("limits.clearAll")}
          </Button>
        </Group>
        <FormProblem problem={problem} />
      </DialogForm>
    </Dialog>
  );
}
