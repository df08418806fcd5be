import { Badge, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../api/client";
import { refresh, type Shape } from "../../api/queries";
import { CodeBlock } from "../../ui/CodeBlock";
import { useConfirm } from "../../ui/confirm";
import { Dialog } from "../../ui/Dialog";
import { Secret } from "../../ui/Secret";
import { Section } from "../../ui/Section";
import { useAction } from "../../ui/useAction";
import { FormProblem, useFields } from "../../ui/useFields";

/** The authenticator as second factor, and the recovery codes that stand in for it. */
export function Totp({ me }: { me: Shape<"Me"> }) {
  const { t } = useTranslation(["account", "common"]);
  const confirm = useConfirm();
  const [secret, setSecret] = useState<Shape<"TotpSecret"> | null>(null);
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  const begin = useAction(() => api.post("/api/me/totp"), { onDone: setSecret });
  const renew = useAction(() => api.post("/api/me/recovery-codes"), {
    refreshes: ["/api/me"],
    onDone: (answer) => setCodes(answer.codes),
  });
  const remove = useAction(() => api.delete("/api/me/totp"), {
    refreshes: ["/api/me"],
    done: t("totp.removed"),
  });

  const askRenew = async () => {
    const question = {
      title: t("totp.renewTitle"),
      message: t("totp.renewMessage"),
      confirm: t("totp.renew"),
    };
    if (await confirm(question)) renew.mutate(undefined);
  };
  const askRemove = async () => {
    const question = {
      title: t("totp.removeTitle"),
      message: t("totp.removeMessage"),
      confirm: t("totp.remove"),
      isDangerous: true,
    };
    if (await confirm(question)) remove.mutate(undefined);
  };
  const hasCodes = me.has_totp || me.passkeys > 0 || me.recovery_codes_left > 0;
  return (
    <Section
      title={t("totp.title")}
      description={t("totp.description")}
      actions={
        me.has_totp ? (
          <Button variant="default" size="sm" loading={remove.isPending} onClick={() => void askRemove()}>
            {t("totp.remove")}
          </Button>
        ) : (
          <Button size="sm" loading={begin.isPending} onClick={() => begin.mutate(undefined)}>
            {t("totp.begin")}
          </Button>
        )
      }
    >
      <Group gap="sm">
        <Badge variant="light" color={me.has_totp ? "green" : "gray"} tt="none">
          {t(me.has_totp ? "totp.on" : "totp.off")}
        </Badge>
        {hasCodes && (
          <>
            <Text size="sm" c={me.recovery_codes_left < 3 ? "yellow" : "dimmed"}>
              {t("totp.codesLeft", { count: me.recovery_codes_left })}
            </Text>
            <Button
              variant="subtle"
              size="compact-sm"
              loading={renew.isPending}
              onClick={() => void askRenew()}
            >
              {t("totp.renew")}
            </Button>
          </>
        )}
      </Group>
      <Dialog title={t("totp.setUpTitle")} isOpen={secret !== null} close={() => setSecret(null)}>
        {secret && (
          <SetUp
            secret={secret}
            onDone={(answer) => {
              setSecret(null);
              setCodes(answer.codes);
              void refresh("/api/me");
            }}
          />
        )}
      </Dialog>
      <Dialog title={t("totp.codesTitle")} isOpen={codes !== null} close={() => setCodes(null)} isKept>
        <Stack>
          <Text size="sm">{t("totp.codesMessage")}</Text>
          <Secret value={(codes ?? []).join("\n")} title={t("totp.codesTitle")} />
          <Group justify="flex-end">
            <Button onClick={() => setCodes(null)}>{t("kept")}</Button>
          </Group>
        </Stack>
      </Dialog>
    </Section>
  );
}

function SetUp({
  secret,
  onDone,
}: {
  secret: Shape<"TotpSecret">;
  onDone: (answer: Shape<"RecoveryCodes">) => void;
}) {
  const { t } = useTranslation("account");
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { code: "" },
    run: ({ code }) => api.post("/api/me/totp/confirm", { body: { code: code.replace(/\s/g, "") } }),
    onDone,
  });
  return (
    <form onSubmit={submit}>
      <Stack>
        <Text size="sm">{t("totp.scan")}</Text>
        <img
          src={`data:image/svg+xml;utf8,${encodeURIComponent(secret.svg)}`}
          alt={t("totp.picture")}
          width={200}
          height={200}
          style={{ alignSelf: "center", background: "#fff", padding: 12, borderRadius: 8 }}
        />
        <CodeBlock title={t("totp.byHand")} code={secret.secret} isWrapped />
        <TextInput
          label={t("totp.enter")}
          inputMode="numeric"
          autoComplete="one-time-code"
          required
          data-autofocus
          {...form.getInputProps("code")}
        />
        <FormProblem problem={problem} />
        <Group justify="flex-end">
          <Button type="submit" loading={isBusy}>
            {t("totp.confirm")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
