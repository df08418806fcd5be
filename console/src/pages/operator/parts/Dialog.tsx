import { Button, Group, Modal, Stack } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

/** A dialog that is closed on purpose only, so that nothing that was entered is lost to a click beside it. */
export function Dialog({
  isOpen,
  onClose,
  title,
  size = "md",
  children,
}: {
  isOpen: boolean;
  onClose: () => void;
  title: string;
  size?: string | number;
  children: ReactNode;
}) {
  const { t } = useTranslation("common");
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      title={title}
      size={size}
      centered
      closeOnClickOutside={false}
      closeButtonProps={{ "aria-label": t("close") }}
    >
      {children}
    </Modal>
  );
}

/** The form of a dialog, with its buttons at the end. */
export function DialogForm({
  onSubmit,
  onCancel,
  submit,
  isBusy,
  isDangerous = false,
  isDisabled = false,
  children,
}: {
  onSubmit: (event: React.FormEvent<HTMLFormElement>) => void;
  onCancel: () => void;
  /** What the button says that does it. */
  submit: string;
  isBusy: boolean;
  isDangerous?: boolean;
  isDisabled?: boolean;
  children: ReactNode;
}) {
  const { t } = useTranslation("common");
  return (
    <form onSubmit={onSubmit} noValidate>
      <Stack gap="md">
        {children}
        <Group justify="flex-end" gap="xs" mt={4}>
          <Button variant="default" onClick={onCancel}>
            {t("cancel")}
          </Button>
          <Button
            type="submit"
            loading={isBusy}
            disabled={isDisabled}
            {...(isDangerous ? { color: "red" } : {})}
          >
            {submit}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
