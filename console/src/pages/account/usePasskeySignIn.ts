import { useState } from "react";
import { type ApiError, api, asApiError } from "../../api/client";
import { PasskeyDismissed, showPasskey } from "../../ui/passkey";
import { useGoOn, useNext } from "./session";

/** Signs in with a passkey: instead of a password, or as the second factor of a ticket. */
export function usePasskeySignIn(ticket: string | null): {
  start: () => void;
  isBusy: boolean;
  problem: ApiError | null;
} {
  const next = useNext();
  const goOn = useGoOn();
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ApiError | null>(null);
  const start = async () => {
    setBusy(true);
    setProblem(null);
    try {
      const options = await api.post("/api/sign-in/passkey/start", { body: { ticket } });
      const credential = await showPasskey(options);
      await api.post("/api/sign-in/passkey", {
        body: { challenge_id: options.challenge_id, credential, ticket },
      });
      await goOn(next);
    } catch (error) {
      if (!(error instanceof PasskeyDismissed)) setProblem(asApiError(error));
    } finally {
      setBusy(false);
    }
  };
  return { start: () => void start(), isBusy, problem };
}
