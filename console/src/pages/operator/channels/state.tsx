import { Badge, Group, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";

export type ChannelState = Shape<"Channel">["state"];
export const STATES = ["on", "draining", "off"] as const satisfies readonly ChannelState[];

const COLORS = { on: "green", draining: "yellow", off: "gray" } as const;

export function StateBadge({ state }: { state: ChannelState }) {
  const { t } = useTranslation("operator");
  return (
    <Badge color={COLORS[state]} variant="light" tt="none" miw="max-content">
      {t(`channel.state.${state}`)}
    </Badge>
  );
}

/** How many keys a channel has, and how many of them the upstream does not take. */
export function KeySummary({ keys }: { keys: readonly Shape<"UpstreamKey">[] }) {
  const { t } = useTranslation("operator");
  const refused = keys.filter((key) => key.refused_as !== null).length;
  if (refused === 0) return <span className="figures">{t("channel.keyCount", { count: keys.length })}</span>;
  return (
    <Badge color={refused === keys.length ? "red" : "yellow"} variant="light" tt="none" miw="max-content">
      {t("channel.keysRefused", { refused, total: keys.length })}
    </Badge>
  );
}

/** The first models of a channel, and how many more there are. */
export function ModelSummary({ models, most = 3 }: { models: Record<string, string>; most?: number }) {
  const { t } = useTranslation("operator");
  const names = Object.keys(models);
  const shown = names.slice(0, most);
  return (
    <Group gap={4} maw={340} style={{ display: "inline-flex" }}>
      {shown.map((name) => (
        <Badge key={name} variant="default" tt="none" fw={500} maw={200} title={name}>
          {name}
        </Badge>
      ))}
      {names.length > most && (
        <Text span size="xs" c="dimmed">
          {t("channel.moreModels", { count: names.length - most })}
        </Text>
      )}
    </Group>
  );
}
