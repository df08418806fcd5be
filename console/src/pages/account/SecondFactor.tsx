import { Anchor, Button, SegmentedControl, Stack, TextInput } from "@mantine/core";
import { IconFingerprint } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../api/client";
import type { Shape } from "../../api/queries";
import { hasPasskeys } from "../../ui/passkey";
import { FormProblem, useFields } from "../../ui/useFields";
import { AuthCard } from "./AuthCard";
import { useGoOn, useNext } from "./session";
import { usePasskeySignIn } from "./usePasskeySignIn";

type Factor = "totp" | "passkey" | "recovery_code";
const ORDER: readonly Factor[] = ["totp", "passkey", "recovery_code"];

/** The second step of signing in. */
export function SecondFactor({
  step,
  back,
}: {
  step: Shape<"SignedIn"> & { ticket: string };
  back: () => void;
}) {
  const { t } = useTranslation(["account", "common"]);
  const offered = ORDER.filter(
    (factor) => step.factors?.includes(factor) && (factor !== "passkey" || hasPasskeys()),
  );
  const [factor, setFactor] = useState<Factor>(offered[0] ?? "totp");
  return (
    <AuthCard
      title={t("factor.title")}
      description={t(`factor.explain.${factor}`)}
      below={
        <Anchor component="button" type="button" onClick={back} inherit>
          {t("factor.back")}
        </Anchor>
      }
    >
      {offered.length > 1 && (
        <SegmentedControl
          fullWidth
          size="xs"
          aria-label={t("common:proof.with")}
          value={factor}
          onChange={(chosen) => setFactor(chosen as Factor)}
          data={offered.map((each) => ({ value: each, label: t(`common:factor.${each}`) }))}
        />
      )}
      {factor === "passkey" ? (
        <WithPasskey ticket={step.ticket} />
      ) : (
        <WithCode key={factor} ticket={step.ticket} factor={factor} />
      )}
    </AuthCard>
  );
}

function WithCode({ ticket, factor }: { ticket: string; factor: "totp" | "recovery_code" }) {
  const { t } = useTranslation("account");
  const next = useNext();
  const goOn = useGoOn();
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { code: "" },
    run: ({ code }) =>
      api.post("/api/sign-in/factor", { body: { ticket, factor, code: code.replace(/\s/g, "") } }),
    onDone: () => void goOn(next),
  });
  return (
    <form onSubmit={submit}>
      <Stack>
        <TextInput
          label={t(`factor.code.${factor}`)}
          name="code"
          autoComplete="one-time-code"
          inputMode={factor === "totp" ? "numeric" : "text"}
          required
          data-autofocus
          autoFocus
          {...form.getInputProps("code")}
        />
        <FormProblem problem={problem} />
        <Button type="submit" loading={isBusy} fullWidth>
          {t("signIn.do")}
        </Button>
      </Stack>
    </form>
  );
}

function WithPasskey({ ticket }: { ticket: string }) {
  const { t } = useTranslation("account");
  const passkey = usePasskeySignIn(ticket);
  return (
    <Stack>
      <FormProblem problem={passkey.problem} />
      <Button
        fullWidth
        loading={passkey.isBusy}
        onClick={passkey.start}
        leftSection={<IconFingerprint size={18} stroke={1.6} aria-hidden />}
      >
        {t("factor.usePasskey")}
      </Button>
    </Stack>
  );
}
