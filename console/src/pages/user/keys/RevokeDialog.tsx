import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useEffect, useState } from "react";
import { Trans, useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { useAction } from "../../../ui/useAction";

/** Ends a key for good, once its name was typed. */
export function RevokeDialog({
  of,
  isOpen,
  close,
}: {
  of: Shape<"Key">;
  isOpen: boolean;
  close: () => void;
}) {
  const { t } = useTranslation(["user", "common"]);
  const [typed, setTyped] = useState("");
  useEffect(() => {
    if (isOpen) setTyped("");
  }, [isOpen]);
  const revoke = useAction(() => api.delete("/api/keys/{key_id}", { path: { key_id: of.id } }), {
    refreshes: ["/api/keys", "/api/keys/{key_id}"],
    done: t("keys.revoked", { name: of.name }),
    onDone: close,
  });
  const isSame = typed.trim() === of.name.trim();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isSame) revoke.mutate(undefined);
  };
  return (
    <Modal
      opened={isOpen}
      onClose={close}
      title={t("keys.revokeTitle")}
      centered
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      <form onSubmit={submit}>
        <Stack>
          <Text size="sm">{t("keys.revokeText")}</Text>
          <TextInput
            label={
              <Trans t={t} i18nKey="keys.revokeType" values={{ name: of.name }} components={{ name: <strong /> }} />
            }
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            autoComplete="off"
            spellCheck={false}
            data-autofocus
          />
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={close}>
              {t("common:cancel")}
            </Button>
            <Button type="submit" color="red" disabled={!isSame} loading={revoke.isPending}>
              {t("keys.revoke")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
