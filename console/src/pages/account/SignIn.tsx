import { Anchor, Button, Group, Input, Stack, TextInput } from "@mantine/core";
import { IconFingerprint } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, Redirect } from "wouter";
import { api } from "../../api/client";
import { meQuery, type Shape, siteQuery } from "../../api/queries";
import { PasswordField } from "../../ui/PasswordField";
import { hasPasskeys } from "../../ui/passkey";
import { FormProblem, useFields } from "../../ui/useFields";
import { AuthCard, Or } from "./AuthCard";
import { ProviderFailure, Providers } from "./Providers";
import { SecondFactor } from "./SecondFactor";
import { carried, useGoOn, useNext } from "./session";
import { usePasskeySignIn } from "./usePasskeySignIn";

export default function SignIn() {
  const next = useNext();
  const me = useQuery(meQuery());
  const [step, setStep] = useState<Shape<"SignedIn"> | null>(startedElsewhere);
  // The ticket goes out of the address once it is kept; a first render may be thrown away, so not while it is read.
  useEffect(() => {
    if (carried("ticket"))
      window.history.replaceState(null, "", window.location.pathname + window.location.search);
  }, []);
  if (me.data) return <Redirect to={next} replace />;
  if (step?.ticket)
    return <SecondFactor step={{ ...step, ticket: step.ticket }} back={() => setStep(null)} />;
  return <FirstStep onSecondFactor={setStep} />;
}

function FirstStep({ onSecondFactor }: { onSecondFactor: (step: Shape<"SignedIn">) => void }) {
  const { t } = useTranslation("account");
  const next = useNext();
  const goOn = useGoOn();
  const site = useQuery(siteQuery()).data;
  const passkey = usePasskeySignIn(null);
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { email: "", password: "" },
    run: (body) => api.post("/api/sign-in", { body: { ...body, email: body.email.trim() } }),
    onDone: (answer) => (answer.state === "second_factor" ? onSecondFactor(answer) : void goOn(next)),
  });
  return (
    <AuthCard
      title={t("signIn.title")}
      below={
        site &&
        site.sign_up !== "off" && (
          <>
            {t("signIn.noAccount")}{" "}
            <Anchor component={Link} href="/sign-up" inherit>
              {t("signUp.title")}
            </Anchor>
          </>
        )
      }
    >
      <ProviderFailure />
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
          <div>
            <Group justify="space-between" mb={4}>
              <Input.Label htmlFor="password">{t("password")}</Input.Label>
              <Anchor component={Link} href="/forgot-password" size="sm">
                {t("signIn.forgot")}
              </Anchor>
            </Group>
            <PasswordField
              id="password"
              name="password"
              autoComplete="current-password"
              required
              {...form.getInputProps("password")}
            />
          </div>
          <FormProblem problem={problem ?? passkey.problem} />
          <Button type="submit" loading={isBusy} fullWidth>
            {t("signIn.do")}
          </Button>
        </Stack>
      </form>
      {(hasPasskeys() || (site?.providers.length ?? 0) > 0) && <Or label={t("or")} />}
      <Stack gap="xs">
        {hasPasskeys() && (
          <Button
            variant="default"
            fullWidth
            loading={passkey.isBusy}
            onClick={passkey.start}
            leftSection={<IconFingerprint size={18} stroke={1.6} aria-hidden />}
          >
            {t("signIn.passkey")}
          </Button>
        )}
        <Providers />
      </Stack>
    </AuthCard>
  );
}

/** Whoever comes back from somebody else's sign-in may still have to show a second factor; the address carries the ticket. */
function startedElsewhere(): Shape<"SignedIn"> | null {
  const ticket = carried("ticket");
  if (!ticket) return null;
  const named = (carried("factors") ?? "").split(",");
  const factors = (["totp", "passkey", "recovery_code"] as const).filter((factor) => named.includes(factor));
  return { state: "second_factor", ticket, factors };
}
