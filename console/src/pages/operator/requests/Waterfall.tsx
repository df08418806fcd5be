import { Anchor, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import type { Shape } from "../../../api/queries";
import { formatDuration } from "../../../format";
import { useLanguage } from "../../../i18n";
import { Duration } from "../../../ui/values";
import { to } from "../parts/addresses";
import { useWords } from "../parts/useWords";
import classes from "./Waterfall.module.css";

const SKIPPED = "skipped_";

/** Every channel that was looked at, in order, and when it was asked, on one axis of time. */
export function Waterfall({ attempts }: { attempts: readonly Shape<"Attempt">[] }) {
  const whole = Math.max(...attempts.map((each) => each.began_ms + each.took_ms), 1);
  return (
    <ol className={classes.list}>
      {attempts.map((attempt, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: an attempt has no other name than its place
        <Line key={index} attempt={attempt} number={index + 1} whole={whole} />
      ))}
    </ol>
  );
}

function Line({ attempt, number, whole }: { attempt: Shape<"Attempt">; number: number; whole: number }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const words = useWords();
  const isSkipped = attempt.result.startsWith(SKIPPED);
  const share = (milliseconds: number) => `${(milliseconds / whole) * 100}%`;
  const help = words.resultHelp(attempt.result);
  const notes = [
    isSkipped ? null : t("request.began", { time: formatDuration(attempt.began_ms, locale) }),
    attempt.credential === "" ? null : t("request.withKey", { key: attempt.credential }),
    attempt.status === null ? null : t("channel.testStatus", { status: attempt.status }),
    isSkipped ? null : t(attempt.may_be_billed ? "request.mayBeBilled" : "request.notBilled"),
  ].filter((each) => each !== null);
  return (
    <li className={classes.attempt}>
      <div style={{ minWidth: 0 }}>
        <Text size="sm" fw={600} style={{ overflowWrap: "anywhere" }}>
          {`${number}. `}
          <Anchor component={Link} href={to.channel(attempt.channel)} inherit>
            {attempt.channel}
          </Anchor>
        </Text>
        <Text size="sm" c={colorOf(attempt.result, isSkipped)}>
          {words.result(attempt.result)}
        </Text>
      </div>
      <div className={classes.lane} aria-hidden>
        {isSkipped ? (
          <div className={classes.mark} style={{ left: share(attempt.began_ms) }} />
        ) : (
          <div
            className={classes.bar}
            data-good={attempt.result === "completed" || undefined}
            data-neutral={attempt.result === "cancelled" || undefined}
            style={{ left: share(attempt.began_ms), width: share(attempt.took_ms) }}
          />
        )}
      </div>
      <div className={classes.took}>
        {isSkipped ? t("request.skipped") : <Duration milliseconds={attempt.took_ms} />}
      </div>
      <div className={classes.note}>
        {help && <div>{help}</div>}
        <div>{notes.join(" · ")}</div>
      </div>
    </li>
  );
}

function colorOf(result: string, isSkipped: boolean): string {
  if (result === "completed") return "green";
  return isSkipped || result === "cancelled" ? "dimmed" : "red";
}
