import { Anchor, Button, Group, Select, Stack, TextInput } from "@mantine/core";
import { IconTerminal2 } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Trans, useTranslation } from "react-i18next";
import { api } from "../../api/client";
import { apiQuery, type Shape } from "../../api/queries";
import { useConfirm } from "../../ui/confirm";
import { Dialog } from "../../ui/Dialog";
import { Empty } from "../../ui/Empty";
import { Loaded } from "../../ui/Loaded";
import { type Column, PlainTable } from "../../ui/PagedTable";
import { Secret } from "../../ui/Secret";
import { Section } from "../../ui/Section";
import { useAction } from "../../ui/useAction";
import { FormProblem, useFields } from "../../ui/useFields";
import { Moment } from "../../ui/values";

const LIFETIMES = ["7", "30", "90", "365", "never"] as const;

/** Keys to the JSON API behind this console. */
export function ManagementKeys() {
  const { t } = useTranslation("account");
  const query = useQuery(apiQuery("/api/me/management-keys"));
  const [isMaking, setMaking] = useState(false);
  const [made, setMade] = useState<Shape<"MadeManagementKey"> | null>(null);
  return (
    <Section
      title={t("management.title")}
      description={
        <Trans
          t={t}
          i18nKey="management.description"
          components={{ reference: <Anchor href="/docs" inherit /> }}
        />
      }
      actions={
        <Button size="sm" onClick={() => setMaking(true)}>
          {t("management.make")}
        </Button>
      }
    >
      <Loaded query={query}>{({ items }) => <List items={items} />}</Loaded>
      <Dialog title={t("management.make")} isOpen={isMaking} close={() => setMaking(false)}>
        <Make
          onDone={(answer) => {
            setMaking(false);
            setMade(answer);
          }}
        />
      </Dialog>
      <Dialog title={t("management.madeTitle")} isOpen={made !== null} close={() => setMade(null)} isKept>
        <Stack>
          <Secret value={made?.secret ?? ""} title={made?.key.name ?? ""} />
          <Group justify="flex-end">
            <Button onClick={() => setMade(null)}>{t("kept")}</Button>
          </Group>
        </Stack>
      </Dialog>
    </Section>
  );
}

function List({ items }: { items: readonly Shape<"ManagementKey">[] }) {
  const { t } = useTranslation("account");
  const confirm = useConfirm();
  const end = useAction(
    (key_id: string) => api.delete("/api/me/management-keys/{key_id}", { path: { key_id } }),
    { refreshes: ["/api/me/management-keys"], done: t("management.ended") },
  );
  const ask = async ({ id, name }: Shape<"ManagementKey">) => {
    const question = {
      title: t("management.endTitle", { name }),
      message: t("management.endMessage"),
      confirm: t("management.end"),
      isDangerous: true,
    };
    if (await confirm(question)) end.mutate(id);
  };
  const columns: Column<Shape<"ManagementKey">>[] = [
    { key: "name", header: t("name"), render: ({ name }) => name },
    { key: "created", header: t("created"), render: ({ created }) => <Moment seconds={created} /> },
    {
      key: "expires",
      header: t("expires"),
      render: ({ expires }) => (expires === null ? t("never") : <Moment seconds={expires} />),
    },
    { key: "used", header: t("lastUsed"), render: ({ used }) => <Moment seconds={used} /> },
    {
      key: "end",
      header: t("management.end"),
      isUnnamed: true,
      isFigure: true,
      render: (key) => (
        <Button variant="subtle" color="red" size="compact-sm" onClick={() => void ask(key)}>
          {t("management.end")}
        </Button>
      ),
    },
  ];
  const empty = (
    <Empty Icon={IconTerminal2} title={t("management.emptyTitle")}>
      {t("management.empty")}
    </Empty>
  );
  return (
    <PlainTable
      label={t("management.title")}
      columns={columns}
      items={items}
      idOf={({ id }) => id}
      empty={empty}
    />
  );
}

function Make({ onDone }: { onDone: (answer: Shape<"MadeManagementKey">) => void }) {
  const { t } = useTranslation("account");
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { name: "", lifetime_days: "90" },
    run: ({ name, lifetime_days }) =>
      api.post("/api/me/management-keys", {
        body: { name: name.trim(), lifetime_days: lifetime_days === "never" ? null : Number(lifetime_days) },
      }),
    refreshes: ["/api/me/management-keys"],
    onDone,
  });
  return (
    <form onSubmit={submit}>
      <Stack>
        <TextInput
          label={t("name")}
          description={t("management.nameHint")}
          required
          maxLength={100}
          data-autofocus
          {...form.getInputProps("name")}
        />
        <Select
          label={t("management.lifetime")}
          allowDeselect={false}
          data={LIFETIMES.map((days) => ({
            value: days,
            label: days === "never" ? t("management.noEnd") : t("management.days", { count: Number(days) }),
          }))}
          {...form.getInputProps("lifetime_days")}
        />
        <FormProblem problem={problem} />
        <Group justify="flex-end">
          <Button type="submit" loading={isBusy}>
            {t("management.make")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
