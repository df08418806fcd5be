import { ActionIcon, Button } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

/** Copies `value`, and says so. With `label` a button with words, else an icon. `what` names for a screen reader what is copied. */
export function CopyButton({ value, label, what }: { value: string; label?: string; what?: string }) {
  const { t } = useTranslation("common");
  const { copied, copy } = useClipboard({ timeout: 2000 });
  const Icon = copied ? IconCheck : IconCopy;
  const named = copied ? t("copy.done") : what ? t("copy.what", { what }) : t("copy.do");
  if (label !== undefined) {
    return (
      <Button
        variant="default"
        size="sm"
        leftSection={<Icon size={16} aria-hidden />}
        onClick={() => copy(value)}
      >
        <span aria-live="polite">{copied ? t("copy.done") : label}</span>
      </Button>
    );
  }
  return (
    <ActionIcon
      variant="subtle"
      color={copied ? "green" : "gray"}
      size="md"
      onClick={() => copy(value)}
      aria-label={named}
      title={named}
      aria-live="polite"
    >
      <Icon size={16} stroke={1.6} aria-hidden />
    </ActionIcon>
  );
}
