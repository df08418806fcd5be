import { Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { IconFingerprint } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../api/client";
import { apiQuery, type Shape } from "../../api/queries";
import { useConfirm } from "../../ui/confirm";
import { Dialog } from "../../ui/Dialog";
import { Empty } from "../../ui/Empty";
import { Loaded } from "../../ui/Loaded";
import { type Column, PlainTable } from "../../ui/PagedTable";
import { hasPasskeys, makePasskey, PasskeyDismissed } from "../../ui/passkey";
import { Section } from "../../ui/Section";
import { useAction } from "../../ui/useAction";
import { FormProblem, useFields } from "../../ui/useFields";
import { Moment } from "../../ui/values";

/** The person's passkeys: second factor, and instead of a password. */
export function Passkeys() {
  const { t } = useTranslation("account");
  const query = useQuery(apiQuery("/api/me/passkeys"));
  const [isAdding, setAdding] = useState(false);
  return (
    <Section
      title={t("passkeys.title")}
      description={t("passkeys.description")}
      actions={
        hasPasskeys() && (
          <Button size="sm" onClick={() => setAdding(true)}>
            {t("passkeys.add")}
          </Button>
        )
      }
    >
      <Loaded query={query}>{({ items }) => <List items={items} />}</Loaded>
      <Dialog title={t("passkeys.addTitle")} isOpen={isAdding} close={() => setAdding(false)}>
        <Add onDone={() => setAdding(false)} />
      </Dialog>
    </Section>
  );
}

function List({ items }: { items: readonly Shape<"Passkey">[] }) {
  const { t } = useTranslation("account");
  const confirm = useConfirm();
  const remove = useAction(
    (passkey_id: string) => api.delete("/api/me/passkeys/{passkey_id}", { path: { passkey_id } }),
    { refreshes: ["/api/me/passkeys", "/api/me"], done: t("passkeys.removed") },
  );
  const ask = async ({ id, name }: Shape<"Passkey">) => {
    const question = {
      title: t("passkeys.removeTitle", { name }),
      message: t("passkeys.removeMessage"),
      confirm: t("passkeys.remove"),
      isDangerous: true,
    };
    if (await confirm(question)) remove.mutate(id);
  };
  const columns: Column<Shape<"Passkey">>[] = [
    { key: "name", header: t("name"), render: ({ name }) => name || t("passkeys.unnamed") },
    { key: "created", header: t("created"), render: ({ created }) => <Moment seconds={created} /> },
    { key: "used", header: t("lastUsed"), render: ({ used }) => <Moment seconds={used} /> },
    {
      key: "remove",
      header: t("passkeys.remove"),
      isUnnamed: true,
      isFigure: true,
      render: (passkey) => (
        <Button variant="subtle" color="red" size="compact-sm" onClick={() => void ask(passkey)}>
          {t("passkeys.remove")}
        </Button>
      ),
    },
  ];
  const empty = (
    <Empty Icon={IconFingerprint} title={t("passkeys.emptyTitle")}>
      {t(hasPasskeys() ? "passkeys.empty" : "passkeys.notHere")}
    </Empty>
  );
  return (
    <PlainTable
      label={t("passkeys.title")}
      columns={columns}
      items={items}
      idOf={({ id }) => id}
      empty={empty}
    />
  );
}

function Add({ onDone }: { onDone: () => void }) {
  const { t } = useTranslation("account");
  const [isDismissed, setDismissed] = useState(false);
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { name: "" },
    run: async ({ name }) => {
      setDismissed(false);
      const options = await api.post("/api/me/passkeys/start");
      try {
        const credential = await makePasskey(options);
        await api.post("/api/me/passkeys", {
          body: { challenge_id: options.challenge_id, credential, name: name.trim() },
        });
      } catch (error) {
        if (!(error instanceof PasskeyDismissed)) throw error;
        setDismissed(true);
        return false;
      }
      return true;
    },
    refreshes: ["/api/me/passkeys", "/api/me"],
    onDone: (isAdded) => isAdded && onDone(),
  });
  return (
    <form onSubmit={submit}>
      <Stack>
        <TextInput
          label={t("name")}
          description={t("passkeys.nameHint")}
          required
          maxLength={100}
          data-autofocus
          {...form.getInputProps("name")}
        />
        {isDismissed && (
          <Text size="sm" c="dimmed" role="status">
            {t("passkeys.dismissed")}
          </Text>
        )}
        <FormProblem problem={problem} />
        <Group justify="flex-end">
          <Button type="submit" loading={isBusy} leftSection={<IconFingerprint size={18} aria-hidden />}>
            {t("passkeys.go")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
