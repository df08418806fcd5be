import { Paper, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";

/** One figure that matters, with what it is above and what to compare it with below. */
export function Figure({ label, value, note }: { label: string; value: ReactNode; note?: ReactNode }) {
  return (
    <Paper withBorder px="md" py="sm" radius="lg">
      <Stack gap={2}>
        <Text size="sm" c="dimmed">
          {label}
        </Text>
        <Text fz={{ base: 20, sm: 24 }} fw={650} lh={1.25} className="figures" component="div">
          {value}
        </Text>
        {note && (
          <Text size="xs" c="dimmed" component="div">
            {note}
          </Text>
        )}
      </Stack>
    </Paper>
  );
}
