import { useTranslation } from "react-i18next";

/** What the server names by a code, in words; a code that is not known here stands as it is. */
export function useWords(): {
  /** How an attempt or a test ended, such as `rate_limited`. */
  result: (code: string) => string;
  /** What that means, and what to do; nothing for what needs no word. */
  resultHelp: (code: string) => string | null;
  /** Why a request failed, such as `upstream_error`. */
  error: (code: string) => string;
  action: (name: string) => string;
} {
  const { t, i18n } = useTranslation("operator");
  const known = (key: string) => i18n.exists(`operator:${key}`);
  return {
    result: (code) => (known(`result.${code}`) ? t(`result.${code}` as "result.completed") : plain(code)),
    resultHelp: (code) =>
      known(`resultHelp.${code}`) ? t(`resultHelp.${code}` as "resultHelp.refused") : null,
    error: (code) => (known(`error.${code}`) ? t(`error.${code}` as "error.upstream_error") : plain(code)),
    action: (name) => (known(`action.${name}`) ? t(`action.${name}` as "action.credit") : plain(name)),
  };
}

function plain(code: string): string {
  return code.replaceAll("_", " ");
}
