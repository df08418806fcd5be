import { Stack, Text, ThemeIcon } from "@mantine/core";
import type { IconKey } from "@tabler/icons-react";
import type { ReactNode } from "react";

/** Nothing there: says so, and what to do next. */
export function Empty({
  Icon,
  title,
  children,
  action,
  isPage = false,
}: {
  Icon: typeof IconKey;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
  /** It is all that there is on the page, and its title the heading. */
  isPage?: boolean;
}) {
  return (
    <Stack align="center" gap="xs" py={48} px="md" ta="center">
      <ThemeIcon size={44} radius="xl" variant="light" color="gray">
        <Icon size={22} stroke={1.5} aria-hidden />
      </ThemeIcon>
      <Text fw={600} component={isPage ? "h1" : "p"} size={isPage ? "xl" : "md"} m={0}>
        {title}
      </Text>
      {children && (
        <Text size="sm" c="dimmed" maw={420} component="div">
          {children}
        </Text>
      )}
      {action}
    </Stack>
  );
}
