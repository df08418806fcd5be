import { ActionIcon, Menu } from "@mantine/core";
import { IconDots, IconPencil, IconRefresh, IconTrash } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import type { Ask } from "./asking";

/** What can be done with a key, as a menu. A revoked key has none. */
export function KeyMenu({ of, ask }: { of: Shape<"Key">; ask: Ask }) {
  const { t } = useTranslation("user");
  if (of.state === "revoked") return null;
  return (
    <Menu position="bottom-end" width={180} shadow="md">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={t("keys.actionsOf", { name: of.name })}>
          <IconDots size={18} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          leftSection={<IconPencil size={16} aria-hidden />}
          onClick={() => ask({ what: "edit", key: of })}
        >
          {t("keys.edit")}
        </Menu.Item>
        <Menu.Item
          leftSection={<IconRefresh size={16} aria-hidden />}
          onClick={() => ask({ what: "rotate", key: of })}
        >
          {t("keys.rotate")}
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item
          color="red"
          leftSection={<IconTrash size={16} aria-hidden />}
          onClick={() => ask({ what: "revoke", key: of })}
        >
          {t("keys.revoke")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
