import { ActionIcon, Anchor, Group, Loader, Text } from "@mantine/core";
import { IconAlertTriangle, IconCode, IconPlayerStop, IconRefresh } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { memo, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { apiQuery } from "../../../api/queries";
import { CopyButton } from "../../../ui/CopyButton";
import { Duration, Tokens, Usd } from "../../../ui/values";
import type { Answer } from "./conversation";
import { Markdown } from "./Markdown";
import classes from "./Playground.module.css";

const ASKED_MAX = 8;
const ASKED_EVERY_MS = 1000;

/** One answer: its text as it comes, how it ended, what it took and cost, and what can be done with it. */
export function AnswerView({
  of,
  again,
  showCode,
}: {
  of: Answer;
  again?: () => void;
  showCode: () => void;
}) {
  const { t } = useTranslation("user");
  const isStreaming = of.status === "streaming";
  return (
    <div className={classes.answer} aria-busy={isStreaming}>
      <Text size="xs" c="dimmed" fw={600} mb={4} className={classes.model}>
        {of.model}
      </Text>
      {of.reasoning !== "" && (
        <details className={classes.reasoning} open={isStreaming && of.text === ""}>
          <summary>{t("playground.reasoning")}</summary>
          <div>{of.reasoning}</div>
        </details>
      )}
      {of.text !== "" && <Markdown>{of.text}</Markdown>}
      {isStreaming && of.text === "" && (
        <Group gap="xs" c="dimmed" fz="sm" role="status">
          <Loader size={14} type="dots" aria-hidden />
          {t(of.reasoning === "" ? "playground.waiting" : "playground.thinking")}
        </Group>
      )}
      <Ending of={of} />
      {!isStreaming && (
        <div className={classes.foot}>
          <Figures of={of} />
          <Group gap={2} wrap="nowrap" ml="auto">
            {of.text !== "" && (
              <CopyButton value={of.text} what={t("playground.answerOf", { model: of.model })} />
            )}
            <ActionIcon
              variant="subtle"
              color="gray"
              size="md"
              aria-label={t("playground.showCodeOf", { model: of.model })}
              title={t("playground.showCode")}
              onClick={showCode}
            >
              <IconCode size={16} stroke={1.6} aria-hidden />
            </ActionIcon>
            {again && (
              <ActionIcon
                variant="subtle"
                color="gray"
                size="md"
                aria-label={t("playground.againOf", { model: of.model })}
                title={t("playground.again")}
                onClick={again}
              >
                <IconRefresh size={16} stroke={1.6} aria-hidden />
              </ActionIcon>
            )}
          </Group>
        </div>
      )}
    </div>
  );
}

/** How it ended, if not as it should. */
function Ending({ of }: { of: Answer }) {
  const { t } = useTranslation("user");
  if (of.status === "stopped") {
    return (
      <Note icon={<IconPlayerStop size={16} aria-hidden />} isHarmless>
        {t("playground.stopped")}
      </Note>
    );
  }
  if (of.status === "broken") {
    return <Note icon={<IconAlertTriangle size={16} aria-hidden />}>{t("playground.broken")}</Note>;
  }
  if (of.status === "failed") {
    return (
      <Note icon={<IconAlertTriangle size={16} aria-hidden />}>
        {of.problem || t("playground.failed")}{" "}
        {isAboutMoney(of.code) && (
          <Anchor component={Link} href="/wallet" inherit c="inherit" td="underline">
            {t("playground.topUp")}
          </Anchor>
        )}
      </Note>
    );
  }
  if (of.status === "done" && of.finish === "length") {
    return (
      <Note icon={<IconAlertTriangle size={16} aria-hidden />} isHarmless>
        {t("playground.cutOff")}
      </Note>
    );
  }
  if (of.status === "done" && of.text === "") {
    return (
      <Text size="sm" c="dimmed">
        {t("playground.noText")}
      </Text>
    );
  }
  return null;
}

function Note({
  icon,
  children,
  isHarmless = false,
}: {
  icon: ReactNode;
  children: ReactNode;
  isHarmless?: boolean;
}) {
  return (
    <div
      className={classes.note}
      data-harmless={isHarmless || undefined}
      role={isHarmless ? "status" : "alert"}
    >
      {icon}
      <span>{children}</span>
    </div>
  );
}

/** Tokens, times and, once it is settled, the cost, which leads to the receipt. */
const Figures = memo(function Figures({ of }: { of: Answer }) {
  const { t } = useTranslation("user");
  const receipt = useQuery({
    ...apiQuery("/api/calls/{request_id}", { path: { request_id: of.requestId ?? "" } }),
    enabled: of.requestId !== null,
    retry: false,
    // The charge is booked just after the last word, so it may take a moment to be there.
    refetchInterval: ({ state }) => {
      const isOpen = !state.data || state.data.state === "running";
      return isOpen && state.dataUpdateCount + state.errorUpdateCount < ASKED_MAX ? ASKED_EVERY_MS : false;
    },
  });
  const isSettled = receipt.data && receipt.data.state !== "running";
  return (
    <Group gap="sm" fz="xs" c="dimmed" className={classes.figures}>
      {of.usage && (
        <span title={t("playground.tokensTitle")}>
          <Tokens value={of.usage.prompt_tokens} />
          {ARROW}
          <Tokens value={of.usage.completion_tokens} /> {t("playground.tokens")}
        </span>
      )}
      {of.firstMs !== null && (
        <span title={t("playground.firstTokenTitle")}>
          {t("playground.firstToken")} <Duration milliseconds={of.firstMs} />
        </span>
      )}
      {of.requestId !== null && (
        <Anchor component={Link} href={`/usage/${of.requestId}`} inherit>
          {isSettled ? <Usd value={receipt.data.charged_usd} /> : t("playground.receipt")}
        </Anchor>
      )}
    </Group>
  );
});

const ARROW = " → ";

function isAboutMoney(code: string | null): boolean {
  return code !== null && /^(insufficient_balance|request_too_expensive|balance_used_up)$/.test(code);
}
