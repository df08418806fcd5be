import {
  ActionIcon,
  Button,
  Group,
  Input,
  SegmentedControl,
  Stack,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { IconArrowRight, IconPlus, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { linesOf, type Mapping, mappingsOf } from "./checks";

const ROWS_MAX = 25;

/** Our names of models and the upstream's: line by line, or as text, which is handier for many. */
export function ModelsField({
  value,
  onChange,
  error,
}: {
  value: Mapping[];
  onChange: (value: Mapping[]) => void;
  error: React.ReactNode;
}) {
  const { t } = useTranslation("operator");
  const [view, setView] = useState<"rows" | "text">(value.length > ROWS_MAX ? "text" : "rows");
  const [text, setText] = useState(() => linesOf(value));
  const switchTo = (next: string) => {
    if (next === "text") setText(linesOf(value));
    setView(next === "text" ? "text" : "rows");
  };
  return (
    <Stack gap="xs">
      <Group justify="space-between" gap="sm">
        <Text size="sm" c="dimmed" flex="1 1 260px">
          {t("channel.modelsFieldNote")}
        </Text>
        <SegmentedControl
          size="xs"
          aria-label={t("channel.modelsView")}
          value={view}
          onChange={switchTo}
          data={[
            { value: "rows", label: t("channel.asRows"), disabled: value.length > 200 },
            { value: "text", label: t("channel.asText") },
          ]}
        />
      </Group>
      {view === "text" ? (
        <Textarea
          label={t("channel.modelsText")}
          description={t("channel.modelsTextNote")}
          autosize
          minRows={5}
          maxRows={18}
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            onChange(mappingsOf(event.currentTarget.value));
          }}
          error={error}
          spellCheck={false}
          styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: "0.8125rem" } }}
        />
      ) : (
        <Rows value={value} onChange={onChange} error={error} />
      )}
    </Stack>
  );
}

function Rows({
  value,
  onChange,
  error,
}: {
  value: Mapping[];
  onChange: (value: Mapping[]) => void;
  error: React.ReactNode;
}) {
  const { t } = useTranslation("operator");
  const change = (at: number, part: Partial<Mapping>) =>
    onChange(value.map((each, index) => (index === at ? { ...each, ...part } : each)));
  return (
    <Stack gap="xs">
      {value.map((each, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line is its place, as long as it is being written
        <Group key={index} gap="xs" wrap="nowrap" align="flex-end">
          <TextInput
            flex={1}
            miw={0}
            label={index === 0 ? t("channel.ours") : undefined}
            aria-label={t("channel.oursAt", { number: index + 1 })}
            placeholder={MODEL_EXAMPLE}
            value={each.ours}
            error={index === 0 && Boolean(error)}
            onChange={(event) => change(index, { ours: event.currentTarget.value })}
            autoComplete="off"
            spellCheck={false}
          />
          <IconArrowRight
            size={16}
            aria-hidden
            style={{ flexShrink: 0, marginBottom: 10, color: "var(--mantine-color-dimmed)" }}
          />
          <TextInput
            flex={1}
            miw={0}
            label={index === 0 ? t("channel.theirs") : undefined}
            aria-label={t("channel.theirsAt", { number: index + 1 })}
            placeholder={each.ours || t("channel.sameName")}
            value={each.theirs}
            onChange={(event) => change(index, { theirs: event.currentTarget.value })}
            autoComplete="off"
            spellCheck={false}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            size={36}
            disabled={value.length === 1}
            aria-label={t("channel.removeModelAt", { number: index + 1 })}
            onClick={() => onChange(value.filter((_, at) => at !== index))}
          >
            <IconX size={16} aria-hidden />
          </ActionIcon>
        </Group>
      ))}
      {error && <Input.Error>{error}</Input.Error>}
      <Button
        variant="default"
        size="xs"
        leftSection={<IconPlus size={14} aria-hidden />}
        onClick={() => onChange([...value, { ours: "", theirs: "" }])}
        style={{ alignSelf: "flex-start" }}
      >
        {t("channel.addModel")}
      </Button>
    </Stack>
  );
}

const MODEL_EXAMPLE = "gpt-4.1-mini";
