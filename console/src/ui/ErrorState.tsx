import { Button, Group, Paper, Stack, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { asApiError } from "../api/client";

/** What went wrong, how to try again, and the id under which an operator finds it. */
export function ErrorState({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useTranslation("common");
  const known = asApiError(error);
  return (
    <Trouble
      title={t("error.title")}
      message={known.message}
      detail={known.requestId ? t("error.requestId", { id: known.requestId }) : undefined}
      action={retry ? { label: t("error.retry"), run: retry } : undefined}
    />
  );
}

/** A failure in words, with what to do about it. */
export function Trouble({
  title,
  message,
  detail,
  action,
}: {
  title: string;
  message: string;
  detail?: string | undefined;
  action?: { label: string; run: () => void } | undefined;
}) {
  return (
    <Paper withBorder p="lg" role="alert" maw={640} mx="auto" w="100%">
      <Group align="flex-start" wrap="nowrap" gap="md">
        <IconAlertTriangle
          size={22}
          color="var(--mantine-color-error)"
          aria-hidden
          style={{ flexShrink: 0 }}
        />
        <Stack gap="xs" miw={0} align="flex-start">
          <Text fw={600}>{title}</Text>
          <Text size="sm">{message}</Text>
          {detail && (
            <Text size="xs" c="dimmed" ff="monospace" style={{ overflowWrap: "anywhere" }}>
              {detail}
            </Text>
          )}
          {action && (
            <Button size="xs" variant="default" onClick={action.run} mt={4}>
              {action.label}
            </Button>
          )}
        </Stack>
      </Group>
    </Paper>
  );
}
