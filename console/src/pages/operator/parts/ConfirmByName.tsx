import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";

/** Asks for the name of what is about to be gone for good, so that no slip of the hand does it. */
export function ConfirmByName({
  isOpen,
  onClose,
  title,
  message,
  name,
  confirm,
  isBusy,
  onConfirm,
}: {
  isOpen: boolean;
  onClose: () => void;
  title: string;
  message: ReactNode;
  name: string;
  /** What the button says that does it. */
  confirm: string;
  isBusy: boolean;
  onConfirm: () => void;
}) {
  const { t } = useTranslation(["operator", "common"]);
  const [typed, setTyped] = useState("");
  const isSame = typed.trim() === name;
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      title={title}
      centered
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (isSame && !isBusy) onConfirm();
        }}
      >
        <Stack gap="md">
          <Text size="sm" component="div">
            {message}
          </Text>
          <TextInput
            label={t("confirmByName.label")}
            description={name}
            styles={{ description: { overflowWrap: "anywhere", fontFamily: "monospace" } }}
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            autoComplete="off"
            spellCheck={false}
            data-autofocus
          />
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              {t("common:cancel")}
            </Button>
            <Button type="submit" color="red" disabled={!isSame} loading={isBusy}>
              {confirm}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
