import { useTranslation } from "react-i18next";
import type { PathOf } from "../../../api/client";
import { api } from "../../../api/client";
import { useAction } from "../../../ui/useAction";
import type { ChannelState } from "./state";

/** What is read again when a channel has changed. */
export const CHANNEL_PATHS: PathOf<"get">[] = [
  "/api/operator/channels",
  "/api/operator/channels/{name}",
  "/api/operator/prices",
];

/** Gives one or several channels a state. */
export function useSetStates(onDone?: () => void) {
  const { t } = useTranslation("operator");
  return useAction(
    ({ names, state }: { names: string[]; state: ChannelState }) =>
      api.post("/api/operator/channels/states", { body: { names, state } }),
    { refreshes: CHANNEL_PATHS, done: t("channel.stateSet"), ...(onDone ? { onDone } : {}) },
  );
}

/** Deletes a channel for good. */
export function useDeleteChannel(onDone?: () => void) {
  const { t } = useTranslation("operator");
  return useAction((name: string) => api.delete("/api/operator/channels/{name}", { path: { name } }), {
    refreshes: ["/api/operator/channels", "/api/operator/prices"],
    done: t("channel.deleted"),
    ...(onDone ? { onDone } : {}),
  });
}
