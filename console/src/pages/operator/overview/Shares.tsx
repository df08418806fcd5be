import { Anchor, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import type { Shape } from "../../../api/queries";
import { formatNumber, formatShare, formatUsd } from "../../../format";
import { useLanguage } from "../../../i18n";
import { to } from "../parts/addresses";
import { useWords } from "../parts/useWords";
import classes from "./Shares.module.css";

/** What each channel did, the busiest first, and how much of it failed. */
export function ChannelShares({ channels }: { channels: readonly Shape<"ChannelShare">[] }) {
  const { t } = useTranslation(["operator", "common"]);
  const { locale } = useLanguage();
  if (channels.length === 0) return <Nothing>{t("overview.noTraffic")}</Nothing>;
  const most = Math.max(...channels.map((each) => each.requests), 1);
  return (
    <ul className={classes.list}>
      {channels.map((each) => (
        <li key={each.channel}>
          <div className={classes.line}>
            <span className={classes.name}>
              {each.channel === "" ? (
                t("overview.noChannel")
              ) : (
                <Anchor
                  component={Link}
                  href={to.requests({ channel: each.channel })}
                  inherit
                  underline="hover"
                >
                  {each.channel}
                </Anchor>
              )}
            </span>
            <span className={classes.figures}>{formatNumber(each.requests, locale)}</span>
          </div>
          <div className={classes.track} aria-hidden>
            <div
              className={classes.good}
              style={{ width: `${((each.requests - each.failed) / most) * 100}%` }}
            />
            <div className={classes.bad} style={{ width: `${(each.failed / most) * 100}%` }} />
          </div>
          <div className={classes.note}>
            {t("overview.channelNote", {
              failed:
                each.requests === 0 ? t("common:noData") : formatShare(each.failed / each.requests, locale),
              charged: formatUsd(each.charged_usd, locale),
            })}
          </div>
        </li>
      ))}
    </ul>
  );
}

/** Why requests failed, the most frequent first. */
export function Causes({ errors }: { errors: readonly Shape<"ErrorCount">[] }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const words = useWords();
  if (errors.length === 0) return <Nothing>{t("overview.noErrors")}</Nothing>;
  const most = Math.max(...errors.map((each) => each.requests), 1);
  return (
    <ul className={classes.list}>
      {errors.map((each) => (
        <li key={each.code}>
          <div className={classes.line}>
            <Anchor
              component={Link}
              href={to.requests({ error: each.code })}
              inherit
              underline="hover"
              className={classes.name}
              title={each.code}
            >
              {words.error(each.code)}
            </Anchor>
            <span className={classes.figures}>{formatNumber(each.requests, locale)}</span>
          </div>
          <div className={classes.track} aria-hidden>
            <div className={classes.bad} style={{ width: `${(each.requests / most) * 100}%` }} />
          </div>
        </li>
      ))}
    </ul>
  );
}

function Nothing({ children }: { children: string }) {
  return (
    <Text size="sm" c="dimmed" py="md" ta="center">
      {children}
    </Text>
  );
}
