import { Text } from "@mantine/core";

/** A text that somebody else chose and that may be very long: cut off, whole when pointed at. */
export function Long({
  children,
  width = 280,
  isCode = false,
}: {
  children: string;
  width?: number;
  isCode?: boolean;
}) {
  return (
    <Text
      span
      inherit
      truncate
      title={children}
      style={{
        display: "inline-block",
        verticalAlign: "bottom",
        maxWidth: `min(${width}px, var(--long-most, 100vw))`,
      }}
      {...(isCode ? { ff: "monospace", fz: "0.8125rem" } : {})}
    >
      {children}
    </Text>
  );
}
