import { Modal } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import { KeyForm } from "./KeyForm";
import { NewKey } from "./NewKey";

/** Makes a key, or changes `edited`. A new one is shown in the same dialog. */
export function KeyDialog({
  isOpen,
  edited,
  close,
}: {
  isOpen: boolean;
  edited: Shape<"Key"> | null;
  close: () => void;
}) {
  const { t } = useTranslation(["user", "common"]);
  const [made, setMade] = useState<Shape<"MadeKey"> | null>(null);
  useEffect(() => {
    if (isOpen) setMade(null);
  }, [isOpen]);
  return (
    <Modal
      opened={isOpen}
      onClose={close}
      title={
        made ? t("keys.madeTitle") : edited ? t("keys.editTitle", { name: edited.name }) : t("keys.create")
      }
      size={made ? "xl" : "lg"}
      closeOnClickOutside={false}
      closeOnEscape={!made}
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      {made ? (
        <NewKey made={made} close={close} />
      ) : (
        <KeyForm
          edited={edited}
          cancel={close}
          onMade={setMade}
          onChanged={() => {
            notifications.show({ color: "green", message: t("keys.changed") });
            close();
          }}
        />
      )}
    </Modal>
  );
}
