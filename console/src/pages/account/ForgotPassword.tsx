import { Anchor, Button, Stack, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { api } from "../../api/client";
import { useLanguage } from "../../i18n";
import { FormProblem, useFields } from "../../ui/useFields";
import { AuthCard } from "./AuthCard";
import { MailSent } from "./MailSent";

export default function ForgotPassword() {
  const { t } = useTranslation("account");
  const { language } = useLanguage();
  const [sentTo, setSentTo] = useState<string | null>(null);
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { email: "" },
    run: ({ email }) => api.post("/api/password/forgot", { body: { email: email.trim(), language } }),
    onDone: (_, { email }) => setSentTo(email.trim()),
  });
  const back = (
    <Anchor component={Link} href="/sign-in" inherit>
      {t("forgot.back")}
    </Anchor>
  );
  if (sentTo !== null) {
    return (
      <MailSent title={t("forgot.sentTitle")} message={t("forgot.sent", { email: sentTo })} below={back} />
    );
  }
  return (
    <AuthCard title={t("forgot.title")} description={t("forgot.description")} below={back}>
      <form onSubmit={submit}>
        <Stack>
          <TextInput
            label={t("email")}
            type="email"
            name="email"
            autoComplete="username"
            required
            {...form.getInputProps("email")}
          />
          <FormProblem problem={problem} />
          <Button type="submit" loading={isBusy} fullWidth>
            {t("forgot.do")}
          </Button>
        </Stack>
      </form>
    </AuthCard>
  );
}
