import {
  Button,
  Collapse,
  Group,
  MultiSelect,
  Select,
  Stack,
  TagsInput,
  TextInput,
  UnstyledButton,
} from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import { apiQuery, type Shape } from "../../../api/queries";
import { FormProblem, useFields } from "../../../ui/useFields";
import { EXPIRIES, expiresOf, type Values, valuesOf } from "./fields";
import { LimitFields, limitsOf, validLimits } from "./LimitFields";

/** The form of a key: a new one, or `edited`. */
export function KeyForm({
  edited,
  cancel,
  onMade,
  onChanged,
}: {
  edited: Shape<"Key"> | null;
  cancel: () => void;
  onMade: (made: Shape<"MadeKey">) => void;
  onChanged: () => void;
}) {
  const { t } = useTranslation(["user", "common"]);
  const models = useQuery(apiQuery("/api/models"));
  const initialValues = valuesOf(edited);
  const { form, problem, isBusy, submit } = useFields({
    initialValues,
    validate: {
      name: (name) => (name.trim() === "" ? t("keys.nameNeeded") : null),
      date: (date, values) => (values.expiry === "date" && !isAhead(date) ? t("keys.dateNeeded") : null),
      limits: validLimits(t("keys.countWrong"), t("keys.usdWrong")),
    },
    names: { expires: "date" },
    refreshes: ["/api/keys", "/api/keys/{key_id}"],
    run: async (values: Values) => {
      const body = {
        name: values.name.trim(),
        expires: expiresOf(values, edited),
        allowed_models: values.allowed_models,
        allowed_addresses: values.allowed_addresses,
        limits: limitsOf(values.limits),
      };
      if (!edited) return api.post("/api/keys", { body });
      await api.patch("/api/keys/{key_id}", { path: { key_id: edited.id }, body });
      return null;
    },
    onDone: (made) => (made ? onMade(made) : onChanged()),
  });
  const known = models.data?.items.map((model) => model.id) ?? [];
  const hasLimitError = Object.keys(form.errors).some((name) => name.startsWith("limits"));
  const [isLimitsOpen, openLimits] = useState(
    Object.values(initialValues.limits).some((each) => each !== ""),
  );
  const areLimitsShown = isLimitsOpen || hasLimitError;
  const Chevron = areLimitsShown ? IconChevronDown : IconChevronRight;
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <TextInput
          label={t("keys.name")}
          placeholder={t("keys.namePlaceholder")}
          maxLength={100}
          required
          data-autofocus
          autoComplete="off"
          {...form.getInputProps("name")}
        />
        <Group grow align="flex-start" preventGrowOverflow={false}>
          <Select
            label={t("keys.expires")}
            allowDeselect={false}
            data={EXPIRIES.map((each) => ({ value: each, label: t(`keys.expiry.${each}`) }))}
            {...form.getInputProps("expiry")}
          />
          {form.values.expiry === "date" && (
            <TextInput type="date" label={t("keys.lastDay")} required {...form.getInputProps("date")} />
          )}
        </Group>
        <MultiSelect
          label={t("keys.models")}
          description={t("keys.modelsHint")}
          placeholder={form.values.allowed_models.length === 0 ? t("keys.allModels") : ""}
          data={[...new Set([...known, ...initialValues.allowed_models])]}
          searchable
          clearable
          hidePickedOptions
          nothingFoundMessage={t(models.isPending ? "common:state.loading" : "keys.noSuchModel")}
          clearButtonProps={{ "aria-label": t("common:clear") }}
          maxDropdownHeight={240}
          {...form.getInputProps("allowed_models")}
        />
        <TagsInput
          label={t("keys.addresses")}
          description={t("keys.addressesHint")}
          placeholder={form.values.allowed_addresses.length === 0 ? ADDRESS_EXAMPLE : ""}
          splitChars={[",", ";", " ", "\n"]}
          clearable
          acceptValueOnBlur
          clearButtonProps={{ "aria-label": t("common:clear") }}
          {...form.getInputProps("allowed_addresses")}
        />
        <div>
          <UnstyledButton
            onClick={() => openLimits(!areLimitsShown)}
            aria-expanded={areLimitsShown}
            fz="sm"
            fw={500}
          >
            <Group gap={4} component="span">
              <Chevron size={16} aria-hidden />
              {t("keys.limits")}
            </Group>
          </UnstyledButton>
          <Collapse expanded={areLimitsShown}>
            <LimitFields form={form} />
          </Collapse>
        </div>
        <FormProblem problem={problem} />
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={cancel}>
            {t("common:cancel")}
          </Button>
          <Button type="submit" loading={isBusy}>
            {t(edited ? "keys.save" : "keys.createDo")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

const ADDRESS_EXAMPLE = "203.0.113.0/24";

function isAhead(date: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(date) && Date.parse(`${date}T23:59:59`) > Date.now();
}
