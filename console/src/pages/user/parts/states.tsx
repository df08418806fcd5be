import { Badge } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";

const CALL_COLORS = { running: "blue", complete: "green", failed: "red", left: "yellow" } as const;
const KEY_COLORS = { active: "green", expired: "yellow", revoked: "gray" } as const;

export const CALL_STATES = ["complete", "failed", "left", "running"] as const;
export const KEY_STATES = ["active", "expired", "revoked"] as const;

/** How a call stands. */
export function CallState({ state }: { state: Shape<"Call">["state"] }) {
  const { t } = useTranslation("user");
  return (
    <Badge variant="light" color={CALL_COLORS[state]} tt="none" fw={600} miw="max-content">
      {t(`callState.${state}`)}
    </Badge>
  );
}

/** Whether a key can be used. */
export function KeyState({ state }: { state: Shape<"Key">["state"] }) {
  const { t } = useTranslation("user");
  return (
    <Badge variant="light" color={KEY_COLORS[state]} tt="none" fw={600} miw="max-content">
      {t(`keyState.${state}`)}
    </Badge>
  );
}
