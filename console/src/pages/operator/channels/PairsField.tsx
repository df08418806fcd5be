import { ActionIcon, Button, Group, Input, Stack, TextInput } from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { isJson, type Pair } from "./checks";

/** Names with their values. With `isJson` a value is a text of JSON, and is checked while it is written. */
export function PairsField({
  label,
  description,
  add,
  value,
  onChange,
  error,
  isJson: wantsJson = false,
}: {
  label: string;
  description: string;
  /** What the button says that adds a pair. */
  add: string;
  value: Pair[];
  onChange: (value: Pair[]) => void;
  error: React.ReactNode;
  isJson?: boolean;
}) {
  const { t } = useTranslation("operator");
  const change = (at: number, part: Partial<Pair>) =>
    onChange(value.map((each, index) => (index === at ? { ...each, ...part } : each)));
  return (
    <Input.Wrapper label={label} description={description} error={error} labelElement="div">
      <Stack gap="xs" mt={6} role="group" aria-label={label}>
        {value.map((each, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a line is its place, as long as it is being written
          <Group key={index} gap="xs" wrap="nowrap" align="flex-start">
            <TextInput
              flex={1}
              miw={0}
              aria-label={t("channel.pairName", { what: label, number: index + 1 })}
              placeholder={t("channel.pairNamePlaceholder")}
              value={each.name}
              onChange={(event) => change(index, { name: event.currentTarget.value })}
              autoComplete="off"
              spellCheck={false}
            />
            <TextInput
              flex={2}
              miw={0}
              aria-label={t("channel.pairValue", { what: label, number: index + 1 })}
              placeholder={t(wantsJson ? "channel.jsonPlaceholder" : "channel.pairValuePlaceholder")}
              value={each.value}
              error={wantsJson && each.value !== "" && !isJson(each.value) ? t("channel.noJson") : undefined}
              onChange={(event) => change(index, { value: event.currentTarget.value })}
              autoComplete="off"
              spellCheck={false}
              styles={{
                input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: "0.8125rem" },
              }}
            />
            <ActionIcon
              variant="subtle"
              color="gray"
              size={36}
              aria-label={t("channel.removePair", { what: label, number: index + 1 })}
              onClick={() => onChange(value.filter((_, at) => at !== index))}
            >
              <IconX size={16} aria-hidden />
            </ActionIcon>
          </Group>
        ))}
        <Button
          variant="default"
          size="xs"
          leftSection={<IconPlus size={14} aria-hidden />}
          onClick={() => onChange([...value, { name: "", value: "" }])}
          style={{ alignSelf: "flex-start" }}
        >
          {add}
        </Button>
      </Stack>
    </Input.Wrapper>
  );
}
