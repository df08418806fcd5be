import { useTranslation } from "react-i18next";
import type user from "../../../locales/en/user.json";

type Known = keyof typeof user.cause;

/** What an error's code means for the person whose call it ended, in words. */
export function useCause(): (code: string) => string {
  const { t, i18n } = useTranslation("user");
  return (code) =>
    i18n.exists(`user:cause.${code}`) ? t(`cause.${code as Known}`) : t("cause.other", { code });
}
