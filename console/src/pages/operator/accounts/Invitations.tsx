import { Button, Group, NumberInput, Stack, Text, TextInput } from "@mantine/core";
import { IconMail, IconPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import { apiQuery, type Shape } from "../../../api/queries";
import { useConfirm } from "../../../ui/confirm";
import { Empty } from "../../../ui/Empty";
import { Lines, Loaded } from "../../../ui/Loaded";
import { type Column, PlainTable } from "../../../ui/PagedTable";
import { Secret } from "../../../ui/Secret";
import { useAction } from "../../../ui/useAction";
import { FormProblem, useFields } from "../../../ui/useFields";
import { Moment } from "../../../ui/values";
import { Dialog, DialogForm } from "../parts/Dialog";
import { Long } from "../parts/Long";

/** Links with which one person each may sign up. */
export function Invitations() {
  const { t } = useTranslation("operator");
  const query = useQuery(apiQuery("/api/operator/invitations"));
  const [isInviting, setInviting] = useState(false);
  const columns = useColumns();
  const invite = (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setInviting(true)}>
      {t("invitations.invite")}
    </Button>
  );
  return (
    <Stack gap="md">
      <Group justify="space-between" gap="sm">
        <Text size="sm" c="dimmed" flex="1 1 280px">
          {t("invitations.note")}
        </Text>
        {invite}
      </Group>
      <Loaded query={query} skeleton={<Lines count={4} height={40} />}>
        {({ items }) => (
          <PlainTable
            label={t("accounts.tab.invitations")}
            items={items}
            columns={columns}
            idOf={(each) => each.id}
            empty={
              <Empty Icon={IconMail} title={t("invitations.none")}>
                {t("invitations.noneNote")}
              </Empty>
            }
          />
        )}
      </Loaded>
      {isInviting && <InviteDialog onClose={() => setInviting(false)} />}
    </Stack>
  );
}

function useColumns(): Column<Shape<"Invitation">>[] {
  const { t } = useTranslation("operator");
  const confirm = useConfirm();
  const revoke = useAction(
    (id: string) => api.delete("/api/operator/invitations/{invitation_id}", { path: { invitation_id: id } }),
    { refreshes: ["/api/operator/invitations"], done: t("invitations.revoked") },
  );
  const ask = async (invitation: Shape<"Invitation">) => {
    const isSure = await confirm({
      title: t("invitations.revokeTitle"),
      message: t("invitations.revokeMessage"),
      confirm: t("invitations.revoke"),
      isDangerous: true,
    });
    if (isSure) revoke.mutate(invitation.id);
  };
  const isOpen = (each: Shape<"Invitation">) => each.used === null && each.expires * 1000 > Date.now();
  return [
    {
      key: "email",
      header: t("invitations.who"),
      render: ({ email }) => (email === null ? t("invitations.anybody") : <Long>{email}</Long>),
    },
    {
      key: "state",
      header: t("invitations.state"),
      render: (each) =>
        each.used !== null
          ? t("invitations.used")
          : isOpen(each)
            ? t("invitations.open")
            : t("invitations.expired"),
    },
    { key: "created", header: t("invitations.created"), render: (each) => <Moment seconds={each.created} /> },
    { key: "expires", header: t("invitations.expires"), render: (each) => <Moment seconds={each.expires} /> },
    { key: "used", header: t("invitations.usedAt"), render: (each) => <Moment seconds={each.used} /> },
    {
      key: "do",
      header: t("invitations.actions"),
      isUnnamed: true,
      isFigure: true,
      render: (each) =>
        isOpen(each) && (
          <Button
            size="compact-sm"
            variant="subtle"
            color="red"
            loading={revoke.isPending && revoke.variables === each.id}
            onClick={() => void ask(each)}
          >
            {t("invitations.revoke")}
          </Button>
        ),
    },
  ];
}

interface Values extends Record<string, unknown> {
  email: string;
  lifetime_days: number | string;
}

function InviteDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation(["operator", "common"]);
  const [made, setMade] = useState<Shape<"Invited"> | null>(null);
  const { form, problem, isBusy, submit } = useFields<Values, Shape<"Invited">>({
    initialValues: { email: "", lifetime_days: 7 },
    validate: { lifetime_days: (days) => (days === "" ? t("numberMissing") : null) },
    run: (values) =>
      api.post("/api/operator/invitations", {
        body: { email: values.email.trim() || null, lifetime_days: Number(values.lifetime_days) },
      }),
    refreshes: ["/api/operator/invitations"],
    onDone: setMade,
  });
  if (made) {
    return (
      <Dialog isOpen onClose={onClose} title={t("invitations.made")} size="lg">
        <Stack gap="md">
          <Text size="sm" style={{ overflowWrap: "anywhere" }}>
            {made.invitation.email === null
              ? t("invitations.madeNote")
              : t("invitations.madeFor", { email: made.invitation.email })}
          </Text>
          <Secret title={t("invitations.link")} value={made.url} />
          <Group justify="flex-end">
            <Button onClick={onClose}>{t("common:close")}</Button>
          </Group>
        </Stack>
      </Dialog>
    );
  }
  return (
    <Dialog isOpen onClose={onClose} title={t("invitations.invite")}>
      <DialogForm onSubmit={submit} onCancel={onClose} submit={t("invitations.make")} isBusy={isBusy}>
        <TextInput
          type="email"
          label={t("invitations.email")}
          description={t("invitations.emailNote")}
          data-autofocus
          autoComplete="off"
          {...form.getInputProps("email")}
        />
        <NumberInput
          label={t("invitations.days")}
          min={1}
          max={365}
          allowDecimal={false}
          {...form.getInputProps("lifetime_days")}
        />
        <FormProblem problem={problem} />
      </DialogForm>
    </Dialog>
  );
}
