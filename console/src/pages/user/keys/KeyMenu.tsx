import { ActionIcon, Menu } from "@mantine/core";
import { IconDots, IconPencil, IconRefresh, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import { RevokeDialog } from "./RevokeDialog";
import { RotateDialog } from "./RotateDialog";

/** What can be done with a key, as a menu. A revoked key has none. */
export function KeyMenu({ of, edit }: { of: Shape<"Key">; edit: (key: Shape<"Key">) => void }) {
  const { t } = useTranslation("user");
  const [asking, ask] = useState<"rotate" | "revoke" | null>(null);
  if (of.state === "revoked") return null;
  return (
    <>
      <Menu position="bottom-end" width={180} shadow="md">
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={t("keys.actionsOf", { name: of.name })}>
            <IconDots size={18} aria-hidden />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconPencil size={16} aria-hidden />} onClick={() => edit(of)}>
            {t("keys.edit")}
          </Menu.Item>
          <Menu.Item leftSection={<IconRefresh size={16} aria-hidden />} onClick={() => ask("rotate")}>
            {t("keys.rotate")}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item color="red" leftSection={<IconTrash size={16} aria-hidden />} onClick={() => ask("revoke")}>
            {t("keys.revoke")}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <RotateDialog of={of} isOpen={asking === "rotate"} close={() => ask(null)} />
      <RevokeDialog of={of} isOpen={asking === "revoke"} close={() => ask(null)} />
    </>
  );
}
