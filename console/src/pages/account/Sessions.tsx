import { Badge, Button, Group, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api } from "../../api/client";
import { apiQuery, type Shape } from "../../api/queries";
import { useConfirm } from "../../ui/confirm";
import { Loaded } from "../../ui/Loaded";
import { type Column, PlainTable } from "../../ui/PagedTable";
import { Section } from "../../ui/Section";
import { useAction } from "../../ui/useAction";
import { Moment } from "../../ui/values";

/** Where the person is signed in, and how to end it. */
export function Sessions() {
  const { t } = useTranslation("account");
  const confirm = useConfirm();
  const query = useQuery(apiQuery("/api/me/sessions"));
  const endOthers = useAction(() => api.post("/api/me/sessions/end-others"), {
    refreshes: ["/api/me/sessions"],
    done: t("sessions.endedOthers"),
  });
  const end = useAction(
    (session_id: string) => api.delete("/api/me/sessions/{session_id}", { path: { session_id } }),
    { refreshes: ["/api/me/sessions"], done: t("sessions.ended") },
  );
  const askOthers = async () => {
    const question = {
      title: t("sessions.endOthersTitle"),
      message: t("sessions.endOthersMessage"),
      confirm: t("sessions.endOthers"),
    };
    if (await confirm(question)) endOthers.mutate(undefined);
  };
  const columns: Column<Shape<"Session">>[] = [
    {
      key: "agent",
      header: t("sessions.agent"),
      render: ({ agent, is_current }) => (
        <Group gap="xs">
          {agent}
          {is_current && (
            <Badge variant="light" color="green" tt="none" size="sm">
              {t("sessions.current")}
            </Badge>
          )}
        </Group>
      ),
    },
    {
      key: "address",
      header: t("sessions.address"),
      render: ({ address }) => (
        <Text ff="monospace" size="xs">
          {address}
        </Text>
      ),
    },
    { key: "created", header: t("sessions.created"), render: ({ created }) => <Moment seconds={created} /> },
    { key: "seen", header: t("sessions.seen"), render: ({ seen }) => <Moment seconds={seen} /> },
    {
      key: "end",
      header: t("sessions.end"),
      isUnnamed: true,
      isFigure: true,
      render: ({ id, is_current }) =>
        !is_current && (
          <Button variant="subtle" color="red" size="compact-sm" onClick={() => end.mutate(id)}>
            {t("sessions.end")}
          </Button>
        ),
    },
  ];
  const hasOthers = query.data?.items.some(({ is_current }) => !is_current) ?? false;
  return (
    <Section
      title={t("sessions.title")}
      description={t("sessions.description")}
      actions={
        hasOthers && (
          <Button variant="default" size="sm" loading={endOthers.isPending} onClick={() => void askOthers()}>
            {t("sessions.endOthers")}
          </Button>
        )
      }
    >
      <Loaded query={query}>
        {({ items }) => (
          <PlainTable
            label={t("sessions.title")}
            columns={columns}
            items={items}
            idOf={({ id }) => id}
            empty={null}
          />
        )}
      </Loaded>
    </Section>
  );
}
