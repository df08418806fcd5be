import { Button, Group, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { IconPlus, IconUsersGroup } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import { apiQuery, type Shape } from "../../../api/queries";
import { useConfirm } from "../../../ui/confirm";
import { Empty } from "../../../ui/Empty";
import { Lines, Loaded } from "../../../ui/Loaded";
import { type Column, PlainTable } from "../../../ui/PagedTable";
import { useAction } from "../../../ui/useAction";
import { FormProblem, useFields } from "../../../ui/useFields";
import { Dialog, DialogForm } from "../parts/Dialog";
import { Long } from "../parts/Long";
import {
  LIMIT_NAMES,
  LimitsFields,
  type LimitValues,
  limitsOf,
  limitValues,
  useLimitChecks,
} from "./LimitsFields";
import { LimitsTold } from "./LimitsTold";

/** Groups of accounts that are alike. */
export function Groups() {
  const { t } = useTranslation("operator");
  const query = useQuery(apiQuery("/api/operator/groups"));
  const [edited, setEdited] = useState<Shape<"Group"> | "new" | null>(null);
  const columns = useColumns(setEdited);
  return (
    <Stack gap="md">
      <Group justify="space-between" gap="sm">
        <Text size="sm" c="dimmed" flex="1 1 280px">
          {t("groups.note")}
        </Text>
        <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setEdited("new")}>
          {t("groups.make")}
        </Button>
      </Group>
      <Loaded query={query} skeleton={<Lines count={4} height={40} />}>
        {({ items }) => (
          <PlainTable
            label={t("accounts.tab.groups")}
            items={items}
            columns={columns}
            idOf={(group) => group.name}
            empty={
              <Empty Icon={IconUsersGroup} title={t("groups.none")}>
                {t("groups.noneNote")}
              </Empty>
            }
          />
        )}
      </Loaded>
      {edited && <GroupDialog group={edited === "new" ? null : edited} onClose={() => setEdited(null)} />}
    </Stack>
  );
}

function useColumns(edit: (group: Shape<"Group">) => void): Column<Shape<"Group">>[] {
  const { t } = useTranslation("operator");
  const confirm = useConfirm();
  const remove = useAction((name: string) => api.delete("/api/operator/groups/{name}", { path: { name } }), {
    refreshes: ["/api/operator/groups"],
    done: t("groups.removed"),
  });
  const ask = async (name: string) => {
    const isSure = await confirm({
      title: t("groups.removeTitle", { name }),
      message: t("groups.removeMessage"),
      confirm: t("groups.remove"),
      isDangerous: true,
    });
    if (isSure) remove.mutate(name);
  };
  return [
    { key: "name", header: t("groups.name"), render: ({ name }) => <Long width={220}>{name}</Long> },
    {
      key: "multiplier",
      header: t("groups.multiplier"),
      isFigure: true,
      render: (group) => `× ${group.price_multiplier ?? "1"}`,
    },
    {
      key: "models",
      header: t("groups.models"),
      render: (group) =>
        group.allowed_models?.length ? (
          <Long width={220}>{group.allowed_models.join(", ")}</Long>
        ) : (
          t("groups.allModels")
        ),
    },
    {
      key: "limits",
      header: t("groups.limits"),
      render: (group) => <LimitsTold limits={group.limits ?? {}} />,
    },
    {
      key: "do",
      header: t("groups.actions"),
      isUnnamed: true,
      isFigure: true,
      render: (group) => (
        <Group gap={4} justify="flex-end" wrap="nowrap">
          <Button size="compact-sm" variant="subtle" onClick={() => edit(group)}>
            {t("groups.edit")}
          </Button>
          <Button
            size="compact-sm"
            variant="subtle"
            color="red"
            loading={remove.isPending && remove.variables === group.name}
            onClick={() => void ask(group.name)}
          >
            {t("groups.remove")}
          </Button>
        </Group>
      ),
    },
  ];
}

interface Values extends LimitValues {
  name: string;
  price_multiplier: string;
  allowed_models: string[];
}

function GroupDialog({ group, onClose }: { group: Shape<"Group"> | null; onClose: () => void }) {
  const { t } = useTranslation("operator");
  const models = useQuery(apiQuery("/api/operator/prices"));
  const limitChecks = useLimitChecks();
  const { form, problem, isBusy, submit } = useFields<Values, Shape<"Group">>({
    initialValues: {
      name: group?.name ?? "",
      price_multiplier: group?.price_multiplier ?? "1",
      allowed_models: group?.allowed_models ?? [],
      limits: limitValues(group?.limits ?? {}),
    },
    validate: {
      name: (name) => (/^[^/\\?#]{1,100}$/.test(name.trim()) ? null : t("groups.nameWrong")),
      price_multiplier: (text) =>
        /^\d{1,2}(\.\d{1,6})?$/.test(text.trim()) ? null : t("groups.multiplierWrong"),
      limits: limitChecks,
    },
    run: (values) =>
      api.put("/api/operator/groups", {
        body: {
          name: values.name.trim(),
          price_multiplier: values.price_multiplier.trim(),
          allowed_models: values.allowed_models,
          limits: limitsOf(values.limits),
        },
      }),
    refreshes: ["/api/operator/groups", "/api/operator/accounts/{account_id}"],
    onDone: onClose,
    names: LIMIT_NAMES,
  });
  return (
    <Dialog
      isOpen
      onClose={onClose}
      title={group === null ? t("groups.make") : t("groups.editOf", { name: group.name })}
      size="lg"
    >
      <DialogForm onSubmit={submit} onCancel={onClose} submit={t("save")} isBusy={isBusy}>
        <TextInput
          label={t("groups.name")}
          required
          disabled={group !== null}
          autoComplete="off"
          data-autofocus={group === null ? true : undefined}
          {...form.getInputProps("name")}
        />
        <TextInput
          label={t("groups.multiplier")}
          description={t("groups.multiplierNote")}
          required
          inputMode="decimal"
          leftSection={TIMES}
          w={260}
          maw="100%"
          {...form.getInputProps("price_multiplier")}
        />
        <TagsInput
          label={t("groups.models")}
          description={t("groups.modelsNote")}
          data={models.data?.items.map((each) => each.model) ?? []}
          limit={50}
          {...form.getInputProps("allowed_models")}
        />
        <Text size="sm" fw={500}>
          {t("groups.limits")}
        </Text>
        <LimitsFields form={form} />
        <FormProblem problem={problem} />
      </DialogForm>
    </Dialog>
  );
}

const TIMES = "×";
