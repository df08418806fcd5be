import { Anchor, Button, Stack } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { api } from "../../api/client";
import { PasswordField } from "../../ui/PasswordField";
import { FormProblem, useFields } from "../../ui/useFields";
import { AuthCard } from "./AuthCard";
import { carried } from "./session";

export default function ResetPassword() {
  const { t } = useTranslation("account");
  const [token] = useState(() => carried("token"));
  const [isDone, setDone] = useState(false);
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { password: "" },
    run: ({ password }) => api.post("/api/password/reset", { body: { token: token ?? "", password } }),
    onDone: () => setDone(true),
  });
  const again = (
    <Anchor component={Link} href="/forgot-password" inherit>
      {t("reset.again")}
    </Anchor>
  );
  if (isDone) {
    return (
      <AuthCard title={t("reset.doneTitle")} description={t("reset.done")}>
        <Button component={Link} href="/sign-in" fullWidth>
          {t("signIn.title")}
        </Button>
      </AuthCard>
    );
  }
  if (!token) return <AuthCard title={t("reset.title")} description={t("reset.noToken")} below={again} />;
  return (
    <AuthCard title={t("reset.title")} description={t("reset.description")} below={problem && again}>
      <form onSubmit={submit}>
        <Stack>
          <PasswordField
            label={t("newPassword")}
            description={t("passwordHint")}
            name="password"
            autoComplete="new-password"
            required
            {...form.getInputProps("password")}
          />
          <FormProblem problem={problem} />
          <Button type="submit" loading={isBusy} fullWidth>
            {t("reset.do")}
          </Button>
        </Stack>
      </form>
    </AuthCard>
  );
}
