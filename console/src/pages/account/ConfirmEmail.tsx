import { Anchor, Button } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { type ApiError, api, asApiError } from "../../api/client";
import { FormProblem } from "../../ui/useFields";
import { AuthCard } from "./AuthCard";
import { SecondFactor } from "./SecondFactor";
import { carried, useGoOn } from "./session";

/** The link of the message leads here. A click confirms, since programs that look at mail open every link in it. */
export default function ConfirmEmail() {
  const { t } = useTranslation("account");
  const goOn = useGoOn();
  const [token] = useState(() => carried("token"));
  const [ticket, setTicket] = useState<Parameters<typeof SecondFactor>[0]["step"] | null>(null);
  const [problem, setProblem] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);
  if (ticket) return <SecondFactor step={ticket} back={() => setTicket(null)} />;
  if (!token)
    return <AuthCard title={t("confirm.title")} description={t("confirm.noToken")} below={<Again />} />;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const answer = await api.post("/api/sign-up/confirm", { body: { token } });
      if (answer.state === "second_factor" && answer.ticket) setTicket({ ...answer, ticket: answer.ticket });
      else await goOn("/dashboard");
    } catch (error) {
      setProblem(asApiError(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <AuthCard title={t("confirm.title")} description={t("confirm.description")} below={problem && <Again />}>
      <form onSubmit={(event) => void submit(event)} style={{ display: "grid", gap: 16 }}>
        <FormProblem problem={problem} />
        <Button type="submit" loading={isBusy} fullWidth>
          {t("confirm.do")}
        </Button>
      </form>
    </AuthCard>
  );
}

function Again() {
  const { t } = useTranslation("account");
  return (
    <>
      {t("confirm.again")}{" "}
      <Anchor component={Link} href="/sign-up" inherit>
        {t("signUp.title")}
      </Anchor>
    </>
  );
}
