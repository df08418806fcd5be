import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import i18next from "i18next";
import { type ApiError, asApiError, type PathOf } from "../api/client";
import { refresh } from "../api/queries";

/**
 * Something that a button does: `const end = useAction(() => api.delete(…), { refreshes: ["/api/keys"], done: t("ended") })`, then
 * `end.mutate(undefined)`. Afterwards what it changed is read again, and a short notice says `done`. A failure is told in a notice as well.
 */
export function useAction<A, T>(
  run: (argument: A) => Promise<T>,
  about: {
    refreshes?: PathOf<"get">[];
    done?: string | ((answer: T) => string);
    onDone?: (answer: T, argument: A) => void;
  } = {},
) {
  return useMutation<T, ApiError, A>({
    mutationFn: async (argument) => {
      try {
        return await run(argument);
      } catch (error) {
        throw asApiError(error);
      }
    },
    onSuccess: async (answer, argument) => {
      about.onDone?.(answer, argument);
      if (about.done) {
        notifications.show({
          color: "green",
          message: typeof about.done === "string" ? about.done : about.done(answer),
        });
      }
      if (about.refreshes) await refresh(...about.refreshes);
    },
    onError: (error) => tellError(error),
  });
}

/** Tells in a notice that something is done. */
export function tell(message: string): void {
  notifications.show({ color: "green", message, closeButtonProps: { "aria-label": i18next.t("close") } });
}

/** Tells in a notice what went wrong; nothing, if the person only closed a dialog. */
export function tellError(error: unknown): void {
  const known = asApiError(error);
  if (known.isDismissed) return;
  notifications.show({
    color: "red",
    message: known.message,
    autoClose: 10_000,
    closeButtonProps: { "aria-label": i18next.t("close") },
  });
}
