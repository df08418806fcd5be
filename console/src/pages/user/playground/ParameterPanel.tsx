import { Button, Drawer, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { NOTHING_SET, type Parameters } from "./conversation";

const NUMBERS = ["temperature", "top_p", "max_tokens"] as const;

/** The parameters of a call. What is left empty is not sent, so the provider's own default holds. */
export function ParameterPanel({
  isOpen,
  close,
  parameters,
  wrong,
  set,
}: {
  isOpen: boolean;
  close: () => void;
  parameters: Parameters;
  wrong: ReadonlySet<keyof Parameters>;
  set: (change: Partial<Parameters>) => void;
}) {
  const { t } = useTranslation(["user", "common"]);
  return (
    <Drawer
      opened={isOpen}
      onClose={close}
      position="right"
      size="sm"
      title={t("playground.parameters")}
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      <Stack>
        <Text size="sm" c="dimmed">
          {t("playground.parametersText")}
        </Text>
        <Textarea
          label={t("playground.system")}
          placeholder={t("playground.systemPlaceholder")}
          autosize
          minRows={3}
          maxRows={12}
          value={parameters.system}
          onChange={(event) => set({ system: event.currentTarget.value })}
          data-autofocus
        />
        {NUMBERS.map((name) => (
          <TextInput
            key={name}
            label={name}
            description={t(`playground.parameter.${name}`)}
            placeholder={t("playground.notSet")}
            inputMode={name === "max_tokens" ? "numeric" : "decimal"}
            autoComplete="off"
            value={parameters[name]}
            onChange={(event) => set({ [name]: event.currentTarget.value })}
            error={wrong.has(name) ? t(`playground.wrong.${name}`) : null}
          />
        ))}
        <Button variant="default" onClick={() => set(NOTHING_SET)}>
          {t("playground.reset")}
        </Button>
      </Stack>
    </Drawer>
  );
}
