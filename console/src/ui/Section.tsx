import { Group, Paper, Stack, Text, Title } from "@mantine/core";
import { type ReactNode, useId } from "react";

/**
 * A part of a page on a sheet of its own, with its heading, a line below it, and what can be done there. It is as high as its
 * neighbours in a grid; `size` is that of the heading.
 */
export function Section({
  title,
  description,
  actions,
  size = "h3",
  children,
}: {
  title: string;
  description?: ReactNode;
  actions?: ReactNode;
  size?: "h3" | "h4";
  children?: ReactNode;
}) {
  const id = useId();
  return (
    <Paper
      component="section"
      aria-labelledby={id}
      withBorder
      radius="lg"
      p={{ base: "md", sm: "lg" }}
      h="100%"
    >
      <Stack gap="md">
        <Group justify="space-between" align="flex-start" gap="sm">
          <Stack gap={2} miw={0} flex="1 1 260px">
            <Title order={2} size={size} id={id}>
              {title}
            </Title>
            {description && (
              <Text size="sm" c="dimmed" component="div" maw={680}>
                {description}
              </Text>
            )}
          </Stack>
          {actions && <Group gap="xs">{actions}</Group>}
        </Group>
        {children}
      </Stack>
    </Paper>
  );
}
