import { Button, Code, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useEffect, useState } from "react";
import { Trans, useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { useAction } from "../../../ui/useAction";
import { useLast } from "../parts/useLast";

/** Ends a key for good, once its name was typed. */
export function RevokeDialog({ of: asked, close }: { of: Shape<"Key"> | null; close: () => void }) {
  const { t } = useTranslation(["user", "common"]);
  const [typed, setTyped] = useState("");
  useEffect(() => {
    if (asked) setTyped("");
  }, [asked]);
  const of = useLast(asked ?? undefined);
  const revoke = useAction((id: string) => api.delete("/api/keys/{key_id}", { path: { key_id: id } }), {
    refreshes: ["/api/keys", "/api/keys/{key_id}"],
    done: (key) => t("keys.revoked", { name: key.name }),
    onDone: close,
  });
  const isSame = of !== undefined && typed.trim() === of.name.trim();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (of && isSame) revoke.mutate(of.id);
  };
  return (
    <Modal
      opened={asked !== null}
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
              <Trans
                t={t}
                i18nKey="keys.revokeType"
                values={{ name: of?.name }}
                components={{ name: <Code fz="inherit" fw={400} /> }}
              />
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
