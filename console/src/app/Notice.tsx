import { CloseButton } from "@mantine/core";
import { useLocalStorage } from "@mantine/hooks";
import { IconSpeakerphone } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { siteQuery } from "../api/queries";
import { useOperatorText } from "../i18n";
import classes from "./Notice.module.css";

/** The operator's announcement, as plain text, until the visitor has put this one away; `isInset` stands inside the page. */
export function Notice({ isInset = false }: { isInset?: boolean }) {
  const { t } = useTranslation("common");
  const textOf = useOperatorText();
  const notice = useQuery(siteQuery()).data?.notice;
  const [seen, setSeen] = useLocalStorage({
    key: "relay-notice",
    defaultValue: "",
    getInitialValueInEffect: false,
  });
  const written = JSON.stringify(notice);
  const text = notice ? textOf(notice).trim() : "";
  if (!text || seen === written) return null;
  return (
    <aside className={classes.notice} data-inset={isInset || undefined} aria-label={t("notice.label")}>
      <IconSpeakerphone size={18} stroke={1.6} aria-hidden className={classes.icon} />
      <div className={classes.text}>{text}</div>
      <CloseButton size="sm" aria-label={t("notice.close")} onClick={() => setSeen(written)} />
    </aside>
  );
}
