import { Button, Group, Paper, Select, Stack, Text, ThemeIcon } from "@mantine/core";
import { IconCheck, IconPlayerPlay, IconX } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { type ApiError, api, asApiError } from "../../../api/client";
import { refresh, type Shape } from "../../../api/queries";
import { formatDuration } from "../../../format";
import { useLanguage } from "../../../i18n";
import { FormProblem } from "../../../ui/useFields";
import { useWords } from "../parts/useWords";
import { CHANNEL_PATHS } from "./useChannelActions";

/** Sends a small real request through a channel with each of its keys, and shows what came of each. */
export function TestPanel({ channel }: { channel: Shape<"Channel"> }) {
  const { t } = useTranslation("operator");
  const models = Object.keys(channel.models);
  const [model, setModel] = useState(models[0] ?? null);
  const test = useMutation<Shape<"TestResults">, ApiError, string | null>({
    mutationFn: (asked) =>
      api
        .post("/api/operator/channels/{name}/test", { path: { name: channel.name }, body: { model: asked } })
        .catch((error: unknown) => {
          throw asApiError(error);
        }),
    onSettled: () => refresh(...CHANNEL_PATHS),
  });
  return (
    <Stack gap="md">
      <Text size="sm" c="dimmed">
        {t("channel.testNote")}
      </Text>
      <Group align="flex-end" gap="sm">
        <Select
          label={t("channel.testModel")}
          data={models}
          value={model}
          onChange={setModel}
          searchable
          allowDeselect={false}
          limit={50}
          nothingFoundMessage={t("channel.noSuchModel")}
          flex="1 1 220px"
          maw={420}
        />
        <Button
          leftSection={<IconPlayerPlay size={16} aria-hidden />}
          loading={test.isPending}
          onClick={() => test.mutate(model)}
        >
          {t(test.data || test.error ? "channel.testAgain" : "channel.test")}
        </Button>
      </Group>
      <div role="status" aria-live="polite">
        {test.isPending && (
          <Text size="sm" c="dimmed">
            {t("channel.testRunning", { count: channel.keys.length })}
          </Text>
        )}
        {test.data && !test.isPending && (
          <Stack gap="xs">
            {test.data.results.map((result) => (
              <Result key={result.key} result={result} />
            ))}
          </Stack>
        )}
      </div>
      <FormProblem problem={test.isPending || test.error?.isDismissed ? null : test.error} />
    </Stack>
  );
}

function Result({ result }: { result: Shape<"TestResult"> }) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const words = useWords();
  const isGood = result.result === "completed";
  const help = words.resultHelp(result.result);
  const figures = [
    result.status === null ? null : t("channel.testStatus", { status: result.status }),
    result.first_output_ms === null
      ? null
      : t("channel.testFirstOutput", { time: formatDuration(result.first_output_ms, locale) }),
    t("channel.testTook", { time: formatDuration(result.took_ms, locale) }),
  ].filter((each) => each !== null);
  const Icon = isGood ? IconCheck : IconX;
  return (
    <Paper withBorder p="sm">
      <Group gap="sm" wrap="nowrap" align="flex-start">
        <ThemeIcon size={26} radius="xl" variant="light" color={isGood ? "green" : "red"}>
          <Icon size={16} aria-hidden />
        </ThemeIcon>
        <Stack gap={2} miw={0} flex={1}>
          <Text size="sm" style={{ overflowWrap: "anywhere" }}>
            <Text span inherit fw={600}>
              {words.result(result.result)}
            </Text>{" "}
            <Text span inherit c="dimmed">
              {t("channel.testWithKey", { key: result.key })}
            </Text>
          </Text>
          {help && <Text size="sm">{help}</Text>}
          <Text size="xs" c="dimmed" className="figures">
            {figures.join(" · ")}
          </Text>
        </Stack>
      </Group>
    </Paper>
  );
}
