import { Button, Group, Radio, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { Secret } from "../../../ui/Secret";
import { FormProblem, useFields } from "../../../ui/useFields";
import { Dialog, DialogForm } from "../parts/Dialog";
import { randomPassword } from "../parts/random";

interface Values extends Record<string, unknown> {
  email: string;
  password: string;
  role: Shape<"Person">["role"];
}

/** Makes a person who can sign in at once. The password is told once, to be passed on. */
export function MakePerson({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation(["operator", "common"]);
  const [made, setMade] = useState<{ email: string; password: string } | null>(null);
  const { form, problem, isBusy, submit } = useFields<Values, Shape<"Person">>({
    initialValues: { email: "", password: randomPassword(), role: "member" },
    validate: {
      email: (email) => (/^\S+@\S+$/.test(email.trim()) ? null : t("accounts.emailWrong")),
      password: (password) => (password === "" ? t("accounts.passwordMissing") : null),
    },
    run: (values) => api.post("/api/operator/people", { body: { ...values, email: values.email.trim() } }),
    refreshes: ["/api/operator/accounts"],
    onDone: (person, values) => setMade({ email: person.email, password: values.password }),
  });
  if (made) {
    return (
      <Dialog isOpen onClose={onClose} title={t("accounts.personMade")} size="lg">
        <Stack gap="md">
          <Text size="sm" style={{ overflowWrap: "anywhere" }}>
            {t("accounts.personMadeNote", { email: made.email })}
          </Text>
          <Secret title={t("accounts.password")} value={made.password} />
          <Group justify="flex-end">
            <Button onClick={onClose}>{t("common:close")}</Button>
          </Group>
        </Stack>
      </Dialog>
    );
  }
  return (
    <Dialog isOpen onClose={onClose} title={t("accounts.makePerson")}>
      <DialogForm onSubmit={submit} onCancel={onClose} submit={t("accounts.makePerson")} isBusy={isBusy}>
        <TextInput
          type="email"
          label={t("accounts.email")}
          required
          data-autofocus
          autoComplete="off"
          {...form.getInputProps("email")}
        />
        <TextInput
          label={t("accounts.password")}
          description={t("accounts.passwordNote")}
          required
          autoComplete="off"
          spellCheck={false}
          styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
          {...form.getInputProps("password")}
        />
        <Radio.Group label={t("person.roleLabel")} {...form.getInputProps("role")}>
          <Stack gap="xs" mt={6}>
            {(["member", "admin"] as const).map((role) => (
              <Radio
                key={role}
                value={role}
                label={t(`person.role.${role}`)}
                description={t(`person.roleNote.${role}`)}
              />
            ))}
          </Stack>
        </Radio.Group>
        <FormProblem problem={problem} />
      </DialogForm>
    </Dialog>
  );
}
