import "../../theme/full";
import { Divider, Paper, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { useDocumentTitle } from "../../ui/PageHeader";

/** The card of a page for people who have not signed in, with what else they may want below it. */
export function AuthCard({
  title,
  description,
  below,
  children,
}: {
  title: string;
  description?: ReactNode;
  below?: ReactNode;
  children?: ReactNode;
}) {
  useDocumentTitle(title);
  return (
    <Stack maw={440} mx="auto" gap="md" pt={{ base: 0, sm: 24 }}>
      <Paper withBorder radius="lg" p={{ base: "lg", sm: 32 }}>
        <Stack gap="lg">
          <Stack gap={6}>
            <Title order={1}>{title}</Title>
            {description && (
              <Text c="dimmed" size="sm" component="div" style={{ overflowWrap: "anywhere" }}>
                {description}
              </Text>
            )}
          </Stack>
          {children}
        </Stack>
      </Paper>
      {below && (
        <Text size="sm" c="dimmed" ta="center" component="div">
          {below}
        </Text>
      )}
    </Stack>
  );
}

/** Two ways to do the same stand on both sides of this. */
export function Or({ label }: { label: string }) {
  return <Divider label={label} labelPosition="center" />;
}
