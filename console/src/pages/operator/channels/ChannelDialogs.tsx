import { Text, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useLocation } from "wouter";
import { api } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { PasswordField } from "../../../ui/PasswordField";
import { FormProblem, useFields } from "../../../ui/useFields";
import { to } from "../parts/addresses";
import { ConfirmByName } from "../parts/ConfirmByName";
import { Dialog, DialogForm } from "../parts/Dialog";
import { problemOfName } from "./checks";
import { TestPanel } from "./TestPanel";
import { CHANNEL_PATHS, useDeleteChannel } from "./useChannelActions";

/** What can be asked of a channel in a dialog. */
export type Asked = { kind: "test" | "copy" | "delete" | "addKey"; channel: Shape<"Channel"> } | null;

/** The dialog that was asked for; each begins anew when it is opened. */
export function ChannelDialogs({
  asked,
  onClose,
  onDeleted,
}: {
  asked: Asked;
  onClose: () => void;
  onDeleted?: () => void;
}) {
  const { t } = useTranslation("operator");
  if (asked === null) return null;
  const { channel } = asked;
  if (asked.kind === "delete")
    return <DeleteDialog channel={channel} onClose={onClose} onDeleted={onDeleted} />;
  if (asked.kind === "copy") return <CopyDialog channel={channel} onClose={onClose} />;
  if (asked.kind === "addKey") return <AddKeyDialog channel={channel} onClose={onClose} />;
  return (
    <Dialog isOpen onClose={onClose} title={t("channel.testOf", { name: channel.name })} size="lg">
      <TestPanel channel={channel} />
    </Dialog>
  );
}

function DeleteDialog({
  channel,
  onClose,
  onDeleted,
}: {
  channel: Shape<"Channel">;
  onClose: () => void;
  onDeleted?: (() => void) | undefined;
}) {
  const { t } = useTranslation("operator");
  const remove = useDeleteChannel(() => {
    onClose();
    onDeleted?.();
  });
  return (
    <ConfirmByName
      isOpen
      onClose={onClose}
      title={t("channel.deleteTitle")}
      message={t("channel.deleteMessage", { count: Object.keys(channel.models).length })}
      name={channel.name}
      confirm={t("channel.delete")}
      isBusy={remove.isPending}
      onConfirm={() => remove.mutate(channel.name)}
    />
  );
}

function CopyDialog({ channel, onClose }: { channel: Shape<"Channel">; onClose: () => void }) {
  const { t } = useTranslation("operator");
  const [, go] = useLocation();
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { name: "", credential: "" },
    validate: {
      name: (name: string) => problemOfName(name, t),
      credential: (credential: string) => (credential === "" ? t("channel.keyMissing") : null),
    },
    run: (values) =>
      api.post("/api/operator/channels/{name}/copy", { path: { name: channel.name }, body: values }),
    refreshes: CHANNEL_PATHS,
    onDone: (made) => go(`${to.channel(made.name)}?made=1`),
  });
  return (
    <Dialog isOpen onClose={onClose} title={t("channel.copyOf", { name: channel.name })}>
      <DialogForm onSubmit={submit} onCancel={onClose} submit={t("channel.copy")} isBusy={isBusy}>
        <Text size="sm" c="dimmed">
          {t("channel.copyNote")}
        </Text>
        <TextInput
          label={t("channel.newName")}
          required
          data-autofocus
          autoComplete="off"
          {...form.getInputProps("name")}
        />
        <CredentialInput {...form.getInputProps("credential")} />
        <FormProblem problem={problem} />
      </DialogForm>
    </Dialog>
  );
}

function AddKeyDialog({ channel, onClose }: { channel: Shape<"Channel">; onClose: () => void }) {
  const { t } = useTranslation("operator");
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { name: "", credential: "" },
    validate: {
      name: (name: string) => problemOfName(name, t),
      credential: (credential: string) => (credential === "" ? t("channel.keyMissing") : null),
    },
    run: (values) =>
      api.post("/api/operator/channels/{name}/keys", { path: { name: channel.name }, body: values }),
    refreshes: CHANNEL_PATHS,
    onDone: onClose,
  });
  return (
    <Dialog isOpen onClose={onClose} title={t("channel.addKey")}>
      <DialogForm onSubmit={submit} onCancel={onClose} submit={t("channel.addKey")} isBusy={isBusy}>
        <Text size="sm" c="dimmed">
          {t("channel.addKeyNote")}
        </Text>
        <TextInput
          label={t("channel.keyName")}
          description={t("channel.keyNameNote")}
          required
          data-autofocus
          autoComplete="off"
          {...form.getInputProps("name")}
        />
        <CredentialInput {...form.getInputProps("credential")} />
        <FormProblem problem={problem} />
      </DialogForm>
    </Dialog>
  );
}

/** The field for an upstream's key, which no browser should offer to remember. */
export function CredentialInput(properties: React.ComponentProps<typeof PasswordField>) {
  const { t } = useTranslation("operator");
  return (
    <PasswordField
      label={t("channel.credential")}
      description={t("channel.credentialNote")}
      required
      autoComplete="off"
      data-1p-ignore
      {...properties}
    />
  );
}
