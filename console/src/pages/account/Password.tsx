import { Button, Group, Stack } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { api } from "../../api/client";
import type { Shape } from "../../api/queries";
import { PasswordField } from "../../ui/PasswordField";
import { Section } from "../../ui/Section";
import { tell } from "../../ui/useAction";
import { FormProblem, useFields } from "../../ui/useFields";

/** Change the password, or set the first one. */
export function Password({ me }: { me: Shape<"Me"> }) {
  const { t } = useTranslation("account");
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { current: "", password: "" },
    run: ({ current, password }) =>
      api.post("/api/me/password", { body: { current: me.has_password ? current : null, password } }),
    refreshes: ["/api/me", "/api/me/sessions"],
    onDone: () => {
      form.reset();
      tell(t("changePassword.done"));
    },
  });
  return (
    <Section
      title={t("changePassword.title")}
      description={t(me.has_password ? "changePassword.description" : "changePassword.none")}
    >
      <form onSubmit={submit}>
        <Stack maw={420}>
          {/* A password manager wants to know whose password it is. */}
          <input type="email" autoComplete="username" value={me.email} readOnly hidden />
          {me.has_password && (
            <PasswordField
              label={t("changePassword.current")}
              autoComplete="current-password"
              required
              {...form.getInputProps("current")}
            />
          )}
          <PasswordField
            label={t("newPassword")}
            description={t("passwordHint")}
            autoComplete="new-password"
            required
            {...form.getInputProps("password")}
          />
          <FormProblem problem={problem} />
          <Group>
            <Button type="submit" variant="default" loading={isBusy}>
              {t(me.has_password ? "changePassword.change" : "changePassword.set")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Section>
  );
}
