import { Button, Group, Modal, SegmentedControl, Stack, Text, TextInput } from "@mantine/core";
import { IconFingerprint } from "@tabler/icons-react";
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { type ApiError, api, asApiError, surround } from "../api/client";
import { meQuery, queryClient, type Shape } from "../api/queries";
import { PasswordField } from "./PasswordField";
import { hasPasskeys, PasskeyDismissed, showPasskey } from "./passkey";
import { FormProblem } from "./useFields";

type Factor = Shape<"Confirm">["factor"] | "passkey";

/** Holds the dialog that asks who the person is before what is dangerous; the client opens it and then repeats its call. */
export function ProofProvider({ me, children }: { me: Shape<"Me">; children: ReactNode }) {
  const { t } = useTranslation("common");
  const [round, setRound] = useState<number | null>(null);
  const settle = useRef<(isProven: boolean) => void>(() => undefined);
  useEffect(() => {
    surround({
      prove: () =>
        new Promise<boolean>((resolve) => {
          settle.current(false);
          settle.current = resolve;
          setRound(Date.now());
        }),
    });
    return () => surround({ prove: async () => false });
  }, []);
  const answer = (isProven: boolean) => {
    settle.current(isProven);
    setRound(null);
  };
  return (
    <>
      {children}
      <Modal
        opened={round !== null}
        onClose={() => answer(false)}
        title={t("proof.title")}
        centered
        zIndex={400}
        closeButtonProps={{ "aria-label": t("close") }}
      >
        {round !== null && (
          <Questions key={round} me={me} done={() => answer(true)} cancel={() => answer(false)} />
        )}
      </Modal>
    </>
  );
}

function Questions({ me, done, cancel }: { me: Shape<"Me">; done: () => void; cancel: () => void }) {
  const { t } = useTranslation("common");
  const factors = factorsOf(me);
  const [factor, setFactor] = useState<Factor | undefined>(factors[0]);
  const [secret, setSecret] = useState("");
  const [problem, setProblem] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);

  const attempt = async (run: () => Promise<Shape<"Me">>) => {
    setBusy(true);
    setProblem(null);
    try {
      queryClient.setQueryData(meQuery().queryKey, await run());
      done();
    } catch (error) {
      if (!(error instanceof PasskeyDismissed)) setProblem(asApiError(error));
      setSecret("");
    } finally {
      setBusy(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!factor || factor === "passkey") return;
    void attempt(() => api.post("/api/me/confirm", { body: { factor, secret: secret.trim() } }));
  };
  const withPasskey = () =>
    attempt(async () => {
      const options = await api.post("/api/me/confirm/passkey/start");
      const credential = await showPasskey(options);
      return api.post("/api/me/confirm/passkey", {
        body: { challenge_id: options.challenge_id, credential },
      });
    });

  if (!factor) {
    return (
      <Stack>
        <Text size="sm">{t("proof.none")}</Text>
        <Group justify="flex-end">
          <Button variant="default" onClick={cancel}>
            {t("close")}
          </Button>
        </Group>
      </Stack>
    );
  }
  return (
    <form onSubmit={submit}>
      <Stack>
        <Text size="sm" c="dimmed">
          {t("proof.why")}
        </Text>
        {factors.length > 1 && (
          <SegmentedControl
            fullWidth
            size="xs"
            aria-label={t("proof.with")}
            value={factor}
            onChange={(chosen) => {
              setFactor(chosen as Factor);
              setSecret("");
              setProblem(null);
            }}
            data={factors.map((each) => ({ value: each, label: t(`factor.${each}`) }))}
          />
        )}
        {factor === "password" && (
          <PasswordField
            label={t("factor.password")}
            autoComplete="current-password"
            value={secret}
            onChange={(event) => setSecret(event.currentTarget.value)}
            data-autofocus
            required
          />
        )}
        {(factor === "totp" || factor === "recovery_code") && (
          <TextInput
            key={factor}
            label={t(factor === "totp" ? "proof.totp" : "proof.recoveryCode")}
            inputMode={factor === "totp" ? "numeric" : "text"}
            autoComplete="one-time-code"
            value={secret}
            onChange={(event) => setSecret(event.currentTarget.value)}
            data-autofocus
            required
          />
        )}
        <FormProblem problem={problem} />
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={cancel}>
            {t("cancel")}
          </Button>
          {factor === "passkey" ? (
            <Button
              loading={isBusy}
              onClick={() => void withPasskey()}
              leftSection={<IconFingerprint size={18} aria-hidden />}
            >
              {t("proof.usePasskey")}
            </Button>
          ) : (
            <Button type="submit" loading={isBusy}>
              {t("proof.confirm")}
            </Button>
          )}
        </Group>
      </Stack>
    </form>
  );
}

function factorsOf(me: Shape<"Me">): Factor[] {
  return [
    ...(me.has_password ? (["password"] as const) : []),
    ...(me.has_totp ? (["totp"] as const) : []),
    ...(me.passkeys > 0 && hasPasskeys() ? (["passkey"] as const) : []),
    ...(me.recovery_codes_left > 0 ? (["recovery_code"] as const) : []),
  ];
}
