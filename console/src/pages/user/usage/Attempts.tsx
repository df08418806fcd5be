import { Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import type user from "../../../locales/en/user.json";
import { Duration } from "../../../ui/values";
import classes from "./Receipt.module.css";

type Known = keyof typeof user.attempt;

/** What was tried at the providers, in order. */
export function Attempts({ attempts }: { attempts: readonly Shape<"AttemptView">[] }) {
  const { t, i18n } = useTranslation("user");
  if (attempts.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {t("receipt.noAttempts")}
      </Text>
    );
  }
  const inWords = (result: string) => {
    if (result.startsWith("skipped_")) return t("attempt.skipped");
    return i18n.exists(`user:attempt.${result}`)
      ? t(`attempt.${result as Known}`)
      : t("attempt.other", { result });
  };
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable with the keyboard
    <section className={classes.scroll} tabIndex={0} aria-label={t("receipt.attempts")}>
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">{t("receipt.attempt")}</th>
            <th scope="col">{t("receipt.began")}</th>
            <th scope="col">{t("receipt.lasted")}</th>
          </tr>
        </thead>
        <tbody>
          {attempts.map((attempt) => (
            <tr key={attempt.number}>
              <td style={{ whiteSpace: "normal" }}>
                {t("receipt.numbered", { number: attempt.number, result: inWords(attempt.result) })}
              </td>
              <td>
                <Duration milliseconds={attempt.began_ms} />
              </td>
              <td>
                <Duration milliseconds={attempt.took_ms} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
