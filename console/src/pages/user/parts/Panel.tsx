import { Group, Paper, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";

/** A part of a page with a heading of its own. */
export function Panel({
  title,
  description,
  actions,
  children,
}: {
  title: string;
  description?: string;
  actions?: ReactNode;
  children: ReactNode;
}) {
  return (
    <Paper withBorder radius="lg" p={{ base: "md", sm: "lg" }} component="section" h="100%">
      <Group justify="space-between" align="flex-start" gap="xs" mb="md">
        <div>
          <Title order={2} size="h4">
            {title}
          </Title>
          {description && (
            <Text size="sm" c="dimmed" mt={2}>
              {description}
            </Text>
          )}
        </div>
        {actions}
      </Group>
      {children}
    </Paper>
  );
}
