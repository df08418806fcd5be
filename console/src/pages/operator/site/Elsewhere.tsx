import { Code, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Section } from "../../../ui/Section";
import { Facts } from "../parts/Facts";

const PARTS = ["address", "mail", "signIn", "sessions", "requests", "failover"] as const;
const NAMES: Record<(typeof PARTS)[number], readonly string[]> = {
  address: ["RELAY_PUBLIC_URL", "RELAY_DEFAULT_LANGUAGE"],
  mail: ["RELAY_SMTP_HOST", "RELAY_SMTP_FROM", "RELAY_OUTBOX_PAGE"],
  signIn: ["RELAY_OIDC_…"],
  sessions: ["RELAY_SESSION_IDLE_SECONDS", "RELAY_FRESH_SECONDS"],
  requests: ["RELAY_BODY_BYTES_MAX", "RELAY_REQUEST_SECONDS_MAX", "RELAY_STREAMS_MAX"],
  failover: ["RELAY_SLOW_SECONDS", "RELAY_FAILOVER_SECONDS", "RELAY_CHANNEL_PROBE_SECONDS"],
};

/** What is not here, since it is read when a process starts, and where it is written down. */
export function Elsewhere() {
  const { t } = useTranslation("operator");
  return (
    <div style={{ maxWidth: 820, marginTop: "var(--mantine-spacing-md)" }}>
      <Section title={t("site.elsewhere")} description={t("site.elsewhereNote")}>
        <Facts
          items={PARTS.map(
            (part) =>
              [
                t(`site.part.${part}`),
                <Text key={part} span size="sm" style={{ display: "flex", flexWrap: "wrap", gap: 6 }}>
                  {NAMES[part].map((name) => (
                    <Code key={name}>{name}</Code>
                  ))}
                </Text>,
              ] as const,
          )}
        />
      </Section>
    </div>
  );
}
