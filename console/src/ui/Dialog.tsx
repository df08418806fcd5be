import { Modal, type ModalProps } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

/** A dialog whose content begins anew each time that it opens. */
export function Dialog({
  title,
  isOpen,
  close,
  size = "md",
  isKept = false,
  children,
}: {
  title: string;
  isOpen: boolean;
  close: () => void;
  size?: ModalProps["size"];
  /** Neither Escape nor a click beside it closes it: it shows what is shown only once. */
  isKept?: boolean;
  children: ReactNode;
}) {
  const { t } = useTranslation("common");
  return (
    <Modal
      opened={isOpen}
      onClose={close}
      title={title}
      size={size}
      centered
      closeOnEscape={!isKept}
      closeOnClickOutside={!isKept}
      closeButtonProps={{ "aria-label": t("close") }}
    >
      {isOpen && children}
    </Modal>
  );
}
