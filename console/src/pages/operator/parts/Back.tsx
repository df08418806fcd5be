import { Anchor } from "@mantine/core";
import { IconArrowLeft } from "@tabler/icons-react";
import { Link } from "wouter";

/** The way back to the list that a page belongs to. */
export function Back({ href, label }: { href: string; label: string }) {
  return (
    <Anchor
      component={Link}
      href={href}
      size="sm"
      c="dimmed"
      style={{ display: "inline-flex", alignItems: "center", gap: 6, marginBottom: 8 }}
    >
      <IconArrowLeft size={15} aria-hidden />
      {label}
    </Anchor>
  );
}
