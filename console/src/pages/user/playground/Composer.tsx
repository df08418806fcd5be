import { Button, Textarea } from "@mantine/core";
import { IconPlayerStopFilled, IconSend } from "@tabler/icons-react";
import { type KeyboardEvent, useRef } from "react";
import { useTranslation } from "react-i18next";
import classes from "./Playground.module.css";

/** Where the next message is written. Enter sends it, Shift and Enter make a line. */
export function Composer({
  draft,
  setDraft,
  isBusy,
  isReady,
  send,
  stop,
}: {
  draft: string;
  setDraft: (draft: string) => void;
  isBusy: boolean;
  isReady: boolean;
  send: () => void;
  stop: () => void;
}) {
  const { t } = useTranslation("user");
  const field = useRef<HTMLTextAreaElement>(null);
  const canSend = !isBusy && isReady && draft.trim() !== "";
  const pressed = (event: KeyboardEvent) => {
    // Enter also chooses a word while Chinese is written; that sends nothing.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    if (canSend) send();
  };
  return (
    <div className={classes.composer}>
      <Textarea
        ref={field}
        aria-label={t("playground.message")}
        placeholder={t("playground.placeholder")}
        autosize
        minRows={1}
        maxRows={10}
        variant="unstyled"
        value={draft}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onKeyDown={pressed}
        flex={1}
        data-autofocus
      />
      {isBusy ? (
        <Button
          variant="default"
          leftSection={<IconPlayerStopFilled size={16} aria-hidden />}
          onClick={() => {
            stop();
            field.current?.focus();
          }}
        >
          {t("playground.stop")}
        </Button>
      ) : (
        <Button
          leftSection={<IconSend size={16} aria-hidden />}
          disabled={!canSend}
          onClick={() => {
            send();
            field.current?.focus();
          }}
        >
          {t("playground.send")}
        </Button>
      )}
    </div>
  );
}
