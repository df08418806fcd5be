import {
  Autocomplete,
  Button,
  Collapse,
  Group,
  NumberInput,
  Radio,
  Select,
  SimpleGrid,
  Stack,
  Switch,
  TagsInput,
  TextInput,
} from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import type { Shape } from "../../../api/queries";
import { Section } from "../../../ui/Section";
import { FormProblem, useFields } from "../../../ui/useFields";
import { CredentialInput } from "./ChannelDialogs";
import {
  type Mapping,
  type Pair,
  pairsOf,
  problemOfHeaders,
  problemOfModels,
  problemOfName,
  problemOfParameters,
  problemOfUrl,
} from "./checks";
import { ModelsField } from "./ModelsField";
import { PairsField } from "./PairsField";
import { CHANNEL_PATHS } from "./useChannelActions";

/** What the form holds, under the names that the API's errors use. */
export interface ChannelValues extends Record<string, unknown> {
  name: string;
  base_url: string;
  credential: string;
  is_on: boolean;
  models: Mapping[];
  priority: number | string;
  weight: number | string;
  abort_policy: Shape<"Channel">["abort_policy"];
  output_parameter: string;
  auth_header: Shape<"Channel">["auth_header"];
  slow_seconds: number | string;
  headers: Pair[];
  set_parameters: Pair[];
  default_parameters: Pair[];
  drop_parameters: string[];
}

const ADVANCED = [
  "output_parameter",
  "auth_header",
  "slow_seconds",
  "headers",
  "set_parameters",
  "default_parameters",
  "drop_parameters",
];
/** Where providers that many use answer; anything else can be typed. */
const KNOWN_URLS = [
  "https://api.openai.com/v1",
  "https://api.anthropic.com/v1",
  "https://generativelanguage.googleapis.com/v1beta/openai",
  "https://api.deepseek.com/v1",
  "https://api.moonshot.cn/v1",
  "https://dashscope.aliyuncs.com/compatible-mode/v1",
  "https://open.bigmodel.cn/api/paas/v4",
  "https://api.siliconflow.cn/v1",
  "https://openrouter.ai/api/v1",
  "https://api.mistral.ai/v1",
  "https://api.groq.com/openai/v1",
];

export const NEW_CHANNEL: ChannelValues = {
  name: "",
  base_url: "",
  credential: "",
  is_on: true,
  models: [{ ours: "", theirs: "" }],
  priority: 0,
  weight: 1,
  abort_policy: "estimate",
  output_parameter: "max_tokens",
  auth_header: "authorization",
  slow_seconds: "",
  headers: [],
  set_parameters: [],
  default_parameters: [],
  drop_parameters: [],
};

/** A channel as the form holds it. */
export function valuesOf(channel: Shape<"Channel">): ChannelValues {
  return {
    ...NEW_CHANNEL,
    name: channel.name,
    base_url: channel.base_url,
    models: Object.entries(channel.models).map(([ours, theirs]) => ({
      ours,
      theirs: theirs === ours ? "" : theirs,
    })),
    priority: channel.priority,
    weight: channel.weight,
    abort_policy: channel.abort_policy,
    output_parameter: channel.output_parameter,
    auth_header: channel.auth_header,
    slow_seconds: channel.slow_seconds ?? "",
    headers: pairsOf(channel.headers),
    set_parameters: pairsOf(channel.set_parameters),
    default_parameters: pairsOf(channel.default_parameters),
    drop_parameters: [...channel.drop_parameters],
  };
}

/** Makes a channel, or changes one. The key of one that exists is changed on its own page. */
export function ChannelForm({
  initial,
  isNew,
  submit: label,
  back,
  run,
  onDone,
}: {
  initial: ChannelValues;
  isNew: boolean;
  submit: string;
  back: string;
  run: (values: ChannelValues) => Promise<Shape<"Channel">>;
  onDone: (channel: Shape<"Channel">) => void;
}) {
  const { t } = useTranslation(["operator", "common"]);
  const { form, problem, isBusy, submit } = useFields<ChannelValues, Shape<"Channel">>({
    initialValues: initial,
    validate: {
      name: (name) => (isNew ? problemOfName(name, t) : null),
      base_url: (url) => problemOfUrl(url, t),
      credential: (credential) => (isNew && credential === "" ? t("channel.keyMissing") : null),
      models: (models) => problemOfModels(models, t),
      priority: (priority) => (priority === "" ? t("numberMissing") : null),
      weight: (weight) => (weight === "" ? t("numberMissing") : null),
      headers: (pairs) => problemOfHeaders(pairs, t),
      set_parameters: (pairs) => problemOfParameters(pairs, t),
      default_parameters: (pairs) => problemOfParameters(pairs, t),
    },
    run,
    refreshes: CHANNEL_PATHS,
    onDone,
  });
  return (
    <form onSubmit={submit} noValidate aria-label={label}>
      <Stack gap="md" maw={820}>
        <Section title={t("channel.form.where")} description={t("channel.form.whereNote")}>
          {isNew && (
            <TextInput
              label={t("channel.name")}
              description={t("channel.nameNote")}
              required
              autoComplete="off"
              {...form.getInputProps("name")}
            />
          )}
          <Autocomplete
            label={t("channel.baseUrl")}
            description={t("channel.baseUrlNote")}
            required
            data={KNOWN_URLS}
            autoComplete="off"
            spellCheck={false}
            {...form.getInputProps("base_url")}
          />
          {isNew && <CredentialInput {...form.getInputProps("credential")} />}
        </Section>
        <Section title={t("channel.form.models")}>
          <ModelsField
            value={form.values.models}
            onChange={(models) => form.setFieldValue("models", models)}
            error={form.errors.models}
          />
        </Section>
        <Section title={t("channel.form.traffic")} description={t("channel.form.trafficNote")}>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <NumberInput
              label={t("channel.priority")}
              description={t("channel.priorityNote")}
              allowDecimal={false}
              {...form.getInputProps("priority")}
            />
            <NumberInput
              label={t("channel.weight")}
              description={t("channel.weightNote")}
              allowDecimal={false}
              min={1}
              max={10_000}
              {...form.getInputProps("weight")}
            />
          </SimpleGrid>
          {isNew && (
            <Switch
              label={t("channel.isOn")}
              description={t("channel.isOnNote")}
              {...form.getInputProps("is_on", { type: "checkbox" })}
            />
          )}
        </Section>
        <Section title={t("channel.form.abort")} description={t("channel.form.abortNote")}>
          <Radio.Group aria-label={t("channel.form.abort")} {...form.getInputProps("abort_policy")}>
            <Stack gap="sm">
              {(["estimate", "no_bill"] as const).map((policy) => (
                <Radio
                  key={policy}
                  value={policy}
                  label={t(`channel.abort.${policy}`)}
                  description={t(`channel.abortNote.${policy}`)}
                />
              ))}
            </Stack>
          </Radio.Group>
        </Section>
        <Advanced form={form} />
        <FormProblem problem={problem} />
        <Group gap="xs">
          <Button type="submit" loading={isBusy}>
            {label}
          </Button>
          <Button component={Link} href={back} variant="default">
            {t("common:cancel")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Advanced({ form }: { form: ReturnType<typeof useFields<ChannelValues, unknown>>["form"] }) {
  const { t } = useTranslation("operator");
  const hasError = ADVANCED.some((name) => form.errors[name]);
  const [isOpen, setOpen] = useState(() => isTouched(form.values));
  useEffect(() => {
    if (hasError) setOpen(true);
  }, [hasError]);
  const Icon = isOpen ? IconChevronDown : IconChevronRight;
  return (
    <Section
      title={t("channel.form.advanced")}
      description={t("channel.form.advancedNote")}
      actions={
        <Button
          variant="default"
          size="sm"
          leftSection={<Icon size={16} aria-hidden />}
          aria-expanded={isOpen}
          onClick={() => setOpen(!isOpen)}
        >
          {t(isOpen ? "channel.form.hideAdvanced" : "channel.form.showAdvanced")}
        </Button>
      }
    >
      <Collapse expanded={isOpen}>
        <Stack gap="lg">
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <Select
              label={t("channel.outputParameter")}
              description={t("channel.outputParameterNote")}
              data={["max_tokens", "max_completion_tokens"]}
              allowDeselect={false}
              {...form.getInputProps("output_parameter")}
            />
            <Select
              label={t("channel.authHeader")}
              description={t("channel.authHeaderNote")}
              data={(["authorization", "api-key", "x-api-key"] as const).map((value) => ({
                value,
                label: t(`channel.auth.${value}`),
              }))}
              allowDeselect={false}
              {...form.getInputProps("auth_header")}
            />
            <NumberInput
              label={t("channel.slowSeconds")}
              description={t("channel.slowSecondsNote")}
              placeholder={t("channel.slowDefault")}
              min={0}
              max={3600}
              {...form.getInputProps("slow_seconds")}
            />
          </SimpleGrid>
          <PairsField
            label={t("channel.headers")}
            description={t("channel.headersNote")}
            add={t("channel.addHeader")}
            value={form.values.headers}
            onChange={(pairs) => form.setFieldValue("headers", pairs)}
            error={form.errors.headers}
          />
          <PairsField
            isJson
            label={t("channel.setParameters")}
            description={t("channel.setParametersNote")}
            add={t("channel.addParameter")}
            value={form.values.set_parameters}
            onChange={(pairs) => form.setFieldValue("set_parameters", pairs)}
            error={form.errors.set_parameters}
          />
          <PairsField
            isJson
            label={t("channel.defaultParameters")}
            description={t("channel.defaultParametersNote")}
            add={t("channel.addParameter")}
            value={form.values.default_parameters}
            onChange={(pairs) => form.setFieldValue("default_parameters", pairs)}
            error={form.errors.default_parameters}
          />
          <TagsInput
            label={t("channel.dropParameters")}
            description={t("channel.dropParametersNote")}
            {...form.getInputProps("drop_parameters")}
          />
        </Stack>
      </Collapse>
    </Section>
  );
}

/** Whether a part is in use that is hidden at first. */
function isTouched(values: ChannelValues): boolean {
  return ADVANCED.some((name) => JSON.stringify(values[name]) !== JSON.stringify(NEW_CHANNEL[name]));
}
