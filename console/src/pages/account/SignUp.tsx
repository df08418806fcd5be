import { Anchor, Button, Stack, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { api } from "../../api/client";
import { siteQuery } from "../../api/queries";
import { useSiteName } from "../../app/useSite";
import { useLanguage } from "../../i18n";
import { Loaded } from "../../ui/Loaded";
import { PasswordField } from "../../ui/PasswordField";
import { FormProblem, useFields } from "../../ui/useFields";
import { AuthCard, Or } from "./AuthCard";
import { MailSent } from "./MailSent";
import { Providers } from "./Providers";
import { carried } from "./session";

export default function SignUp() {
  const { t } = useTranslation("account");
  const query = useQuery(siteQuery());
  const [invitation] = useState(() => carried("invitation"));
  const [sentTo, setSentTo] = useState<string | null>(null);
  if (sentTo !== null) {
    return (
      <MailSent
        title={t("signUp.sentTitle")}
        message={t("signUp.sent", { email: sentTo })}
        below={
          <Anchor component="button" type="button" onClick={() => setSentTo(null)} inherit>
            {t("signUp.again")}
          </Anchor>
        }
      />
    );
  }
  return (
    <Loaded query={query}>
      {(site) => {
        if (site.sign_up === "off") return <Closed why={t("signUp.off")} contact={site.contact} />;
        if (site.sign_up === "invitation" && !invitation) {
          return <Closed why={t("signUp.needsInvitation")} contact={site.contact} />;
        }
        return <Form invitation={invitation} onSent={setSentTo} hasProviders={site.providers.length > 0} />;
      }}
    </Loaded>
  );
}

function Form({
  invitation,
  onSent,
  hasProviders,
}: {
  invitation: string | null;
  onSent: (email: string) => void;
  hasProviders: boolean;
}) {
  const { t } = useTranslation("account");
  const { language } = useLanguage();
  const name = useSiteName();
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { email: "", password: "" },
    run: ({ email, password }) =>
      api.post("/api/sign-up", { body: { email: email.trim(), password, language, invitation } }),
    onDone: (_, { email }) => onSent(email.trim()),
  });
  return (
    <AuthCard title={t("signUp.title")} description={t("signUp.description", { name })} below={<ToSignIn />}>
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
          <PasswordField
            label={t("password")}
            description={t("passwordHint")}
            name="password"
            autoComplete="new-password"
            required
            {...form.getInputProps("password")}
          />
          <FormProblem problem={problem} />
          <Button type="submit" loading={isBusy} fullWidth>
            {t("signUp.do")}
          </Button>
        </Stack>
      </form>
      {hasProviders && (
        <>
          <Or label={t("or")} />
          <Providers invitation={invitation} />
        </>
      )}
    </AuthCard>
  );
}

function Closed({ why, contact }: { why: string; contact: string }) {
  const { t } = useTranslation(["account", "common"]);
  return (
    <AuthCard title={t("signUp.closedTitle")} description={why} below={<ToSignIn />}>
      {contact && t("common:contact", { contact })}
    </AuthCard>
  );
}

function ToSignIn() {
  const { t } = useTranslation("account");
  return (
    <>
      {t("signUp.hasAccount")}{" "}
      <Anchor component={Link} href="/sign-in" inherit>
        {t("signIn.title")}
      </Anchor>
    </>
  );
}
