import {
  ActionIcon,
  Button,
  Group,
  Input,
  NumberInput,
  Radio,
  SimpleGrid,
  Stack,
  TagsInput,
  Text,
  TextInput,
} from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { FormProblem, useFields } from "../../../ui/useFields";
import { fieldOfMoment, momentOfField } from "../parts/moments";
import { CatalogueField } from "./CatalogueField";
import { askOf, type Draft, draftOf, EMPTY_TIER, problemOfFigures, type Tier } from "./draft";
import { KINDS } from "./FiguresTable";
import { PriceReview } from "./PriceReview";

const CAPABILITIES = [
  "vision",
  "audio_input",
  "video_input",
  "pdf_input",
  "tools",
  "json_schema",
  "reasoning",
  "prompt_caching",
];
const DAY_SECONDS = 86_400;

/** A new version of a price. It is looked at once more before it is stored: what would change, and by how much. */
export function PriceForm({
  model,
  before,
  onDone,
}: {
  model: string;
  before: Shape<"Price"> | null;
  onDone: () => void;
}) {
  const { t } = useTranslation("operator");
  const [reviewed, setReviewed] = useState<{ ask: Shape<"SetPrice">; preview: Shape<"PricePreview"> } | null>(
    null,
  );
  const { form, problem, isBusy, submit } = useFields<Draft, Shape<"PricePreview">>({
    initialValues: draftOf(before === null ? null : { ...before, source: "" }),
    validate: {
      figures: (figures) => {
        const found = problemOfFigures(figures);
        return found && t(`prices.problem.${found.problem}`, { number: found.tier + 1 });
      },
      max_output_tokens: (count) => (count === "" ? t("numberMissing") : null),
      effective: (text, draft) => {
        if (draft.when === "now") return null;
        const moment = momentOfField(text);
        return moment === null || moment * 1000 <= Date.now() ? t("prices.momentPast") : null;
      },
    },
    run: (draft) => api.post("/api/operator/prices/preview", { body: askOf(model, draft) }),
    onDone: (preview, draft) => setReviewed({ ask: askOf(model, draft), preview }),
    names: { tiers: "figures", effective: "effective" },
  });
  const fill = (entry: Shape<"CatalogueEntry">) =>
    form.setValues({ ...draftOf(entry), when: form.values.when, effective: form.values.effective });
  return (
    <form onSubmit={submit} noValidate aria-label={t("prices.newVersion")}>
      <Stack gap="lg">
        <CatalogueField model={model} onChoose={fill} />
        <FiguresField
          value={form.values.figures}
          onChange={(figures) => form.setFieldValue("figures", figures)}
          error={form.errors.figures}
        />
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <NumberInput
            label={t("prices.maxOutput")}
            description={t("prices.maxOutputNote")}
            required
            allowDecimal={false}
            thousandSeparator=","
            min={1}
            max={10_000_000}
            {...form.getInputProps("max_output_tokens")}
          />
          <NumberInput
            label={t("prices.context")}
            description={t("prices.contextNote")}
            allowDecimal={false}
            thousandSeparator=","
            min={1}
            max={100_000_000}
            {...form.getInputProps("context_tokens")}
          />
          <TagsInput
            label={t("prices.capabilities")}
            description={t("prices.capabilitiesNote")}
            data={CAPABILITIES}
            {...form.getInputProps("capabilities")}
          />
          <TextInput
            label={t("prices.source")}
            description={t("prices.sourceNote")}
            maxLength={500}
            {...form.getInputProps("source")}
          />
        </SimpleGrid>
        <Stack gap="xs">
          <Radio.Group label={t("prices.when")} {...form.getInputProps("when")}>
            <Group gap="lg" mt={6}>
              <Radio value="now" label={t("prices.whenNow")} />
              <Radio value="later" label={t("prices.whenLater")} />
            </Group>
          </Radio.Group>
          {form.values.when === "later" && (
            <TextInput
              type="datetime-local"
              label={t("prices.whenMoment")}
              description={t("prices.whenMomentNote")}
              min={fieldOfMoment(Date.now() / 1000)}
              max={fieldOfMoment(Date.now() / 1000 + 5 * 365 * DAY_SECONDS)}
              w={260}
              maw="100%"
              {...form.getInputProps("effective")}
            />
          )}
        </Stack>
        <FormProblem problem={problem} />
        <Group>
          <Button type="submit" loading={isBusy}>
            {t("prices.review")}
          </Button>
        </Group>
      </Stack>
      {reviewed && (
        <PriceReview
          {...reviewed}
          isFirst={before === null}
          onClose={() => setReviewed(null)}
          onDone={() => {
            setReviewed(null);
            onDone();
          }}
        />
      )}
    </form>
  );
}

function FiguresField({
  value,
  onChange,
  error,
}: {
  value: Tier[];
  onChange: (value: Tier[]) => void;
  error: React.ReactNode;
}) {
  const { t } = useTranslation("operator");
  const change = (at: number, part: Partial<Tier>) =>
    onChange(value.map((tier, index) => (index === at ? { ...tier, ...part } : tier)));
  return (
    <Stack gap="sm" role="group" aria-label={t("prices.figures")}>
      <Text size="sm" c="dimmed">
        {t("prices.figuresNote")}
      </Text>
      {value.map((tier, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a tier is its place, as long as it is being written
        <Group key={index} gap="xs" align="flex-end" wrap="nowrap">
          <SimpleGrid cols={{ base: 2, md: value.length > 1 ? 5 : 4 }} spacing="xs" flex={1}>
            {value.length > 1 &&
              (index === 0 ? (
                <Input.Wrapper label={t("prices.length")} labelElement="div">
                  <Text size="sm" h={36} style={{ display: "flex", alignItems: "center" }}>
                    {t("prices.everyLength")}
                  </Text>
                </Input.Wrapper>
              ) : (
                <TextInput
                  label={t("prices.aboveTokens")}
                  inputMode="numeric"
                  value={tier.above}
                  onChange={(event) => change(index, { above: event.currentTarget.value })}
                />
              ))}
            {KINDS.map((kind) => (
              <TextInput
                key={kind}
                label={t(`figure.${kind}`)}
                required={kind === "input" || kind === "output"}
                inputMode="decimal"
                leftSection={USD_SIGN}
                placeholder={kind === "cache_read" || kind === "cache_write" ? tier.input : undefined}
                value={tier[kind]}
                onChange={(event) => change(index, { [kind]: event.currentTarget.value })}
              />
            ))}
          </SimpleGrid>
          {value.length > 1 && (
            <ActionIcon
              variant="subtle"
              color="gray"
              size={36}
              disabled={index === 0}
              aria-label={t("prices.removeTier", { number: index + 1 })}
              onClick={() => onChange(value.filter((_, at) => at !== index))}
            >
              <IconX size={16} aria-hidden />
            </ActionIcon>
          )}
        </Group>
      ))}
      {error && <Input.Error role="alert">{error}</Input.Error>}
      <Button
        variant="default"
        size="xs"
        leftSection={<IconPlus size={14} aria-hidden />}
        onClick={() => onChange([...value, { ...(value.at(-1) ?? EMPTY_TIER), above: "" }])}
        style={{ alignSelf: "flex-start" }}
      >
        {t("prices.addTier")}
      </Button>
    </Stack>
  );
}

const USD_SIGN = "$";
