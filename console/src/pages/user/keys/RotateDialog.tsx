import { Button, Group, List, Modal, Stack, Text } from "@mantine/core";
import { useEffect, useState } from "react";
import { Trans, useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { useAction } from "../../../ui/useAction";
import { useLast } from "../parts/useLast";
import { NewKey } from "./NewKey";

/** Makes a key like this one and ends this one; says before what happens, and shows the new one afterwards. */
export function RotateDialog({ of: asked, close }: { of: Shape<"Key"> | null; close: () => void }) {
  const { t } = useTranslation(["user", "common"]);
  const [made, setMade] = useState<Shape<"MadeKey"> | null>(null);
  useEffect(() => {
    if (asked) setMade(null);
  }, [asked]);
  const of = useLast(asked ?? undefined);
  const rotate = useAction((id: string) => api.post("/api/keys/{key_id}/rotate", { path: { key_id: id } }), {
    refreshes: ["/api/keys", "/api/keys/{key_id}"],
    onDone: setMade,
  });
  return (
    <Modal
      opened={asked !== null}
      onClose={close}
      title={made ? t("keys.rotatedTitle") : t("keys.rotateTitle")}
      size={made ? "xl" : "md"}
      centered
      closeOnClickOutside={!made}
      closeOnEscape={!made}
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      {made ? (
        <NewKey made={made} close={close} />
      ) : (
        <Stack>
          <Text size="sm">
            <Trans
              t={t}
              i18nKey="keys.rotateText"
              values={{ name: of?.name }}
              components={{ name: <strong /> }}
            />
          </Text>
          <List size="sm" spacing={6}>
            <List.Item>{t("keys.rotateKeeps")}</List.Item>
            <List.Item>{t("keys.rotateEnds")}</List.Item>
            <List.Item>{t("keys.rotateRunning")}</List.Item>
          </List>
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={close}>
              {t("common:cancel")}
            </Button>
            <Button onClick={() => of && rotate.mutate(of.id)} loading={rotate.isPending} data-autofocus>
              {t("keys.rotateConfirm")}
            </Button>
          </Group>
        </Stack>
      )}
    </Modal>
  );
}
