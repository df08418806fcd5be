import { Alert, Badge, Button, Group, Menu, Stack, Table, Text } from "@mantine/core";
import { IconChevronDown, IconCopy, IconPencil, IconPlus, IconRocket, IconTrash } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation, useParams } from "wouter";
import { api } from "../../../api/client";
import { apiQuery, type Shape } from "../../../api/queries";
import { useConfirm } from "../../../ui/confirm";
import { Loaded } from "../../../ui/Loaded";
import { PageHeader } from "../../../ui/PageHeader";
import { SearchField } from "../../../ui/SearchField";
import { Section } from "../../../ui/Section";
import { useAction } from "../../../ui/useAction";
import { useFilters } from "../../../ui/useFilters";
import { Moment } from "../../../ui/values";
import { decoded, to } from "../parts/addresses";
import { Back } from "../parts/Back";
import { Facts } from "../parts/Facts";
import { type Asked, ChannelDialogs } from "./ChannelDialogs";
import { STATES, StateBadge } from "./state";
import { TestPanel } from "./TestPanel";
import { CHANNEL_PATHS, useSetStates } from "./useChannelActions";

const DEFAULTS = { made: "" };
const SHOWN_MODELS = 50;

export default function Channel() {
  const { t } = useTranslation(["operator", "common"]);
  const name = decoded(useParams<{ name: string }>().name);
  const query = useQuery(apiQuery("/api/operator/channels/{name}", { path: { name } }));
  return (
    <>
      <Back href="/operator/channels" label={t("common:navigation.channels")} />
      <Loaded query={query}>{(channel) => <Body channel={channel} />}</Loaded>
    </>
  );
}

function Body({ channel }: { channel: Shape<"Channel"> }) {
  const { t } = useTranslation("operator");
  const [, go] = useLocation();
  const [{ made }, setFilters] = useFilters(DEFAULTS);
  const [asked, setAsked] = useState<Asked>(null);
  return (
    <>
      <PageHeader
        title={channel.name}
        description={channel.base_url}
        actions={
          <>
            <StateMenu channel={channel} />
            <Button
              component={Link}
              href={`${to.channel(channel.name)}/edit`}
              variant="default"
              leftSection={<IconPencil size={16} aria-hidden />}
            >
              {t("channel.edit")}
            </Button>
            <Button
              variant="default"
              leftSection={<IconCopy size={16} aria-hidden />}
              onClick={() => setAsked({ kind: "copy", channel })}
            >
              {t("channel.copy")}
            </Button>
            <Button
              variant="default"
              c="red"
              leftSection={<IconTrash size={16} aria-hidden />}
              onClick={() => setAsked({ kind: "delete", channel })}
            >
              {t("channel.delete")}
            </Button>
          </>
        }
      />
      <Stack gap="md">
        {made !== "" && (
          <Alert
            color="green"
            icon={<IconRocket size={18} aria-hidden />}
            title={t("channel.madeTitle")}
            withCloseButton
            closeButtonLabel={t("channel.madeClose")}
            onClose={() => setFilters({ made: "" })}
          >
            {t(channel.state === "on" ? "channel.madeNote" : "channel.madeOffNote")}
          </Alert>
        )}
        <Section title={t("channel.testTitle")}>
          <TestPanel channel={channel} />
        </Section>
        <Keys channel={channel} add={() => setAsked({ kind: "addKey", channel })} />
        <Models channel={channel} />
        <Settings channel={channel} />
      </Stack>
      <ChannelDialogs
        asked={asked}
        onClose={() => setAsked(null)}
        onDeleted={() => go("/operator/channels", { replace: true })}
      />
    </>
  );
}

function StateMenu({ channel }: { channel: Shape<"Channel"> }) {
  const { t } = useTranslation("operator");
  const setStates = useSetStates();
  return (
    <Group gap="xs">
      <StateBadge state={channel.state} />
      <Menu position="bottom-end" shadow="md" width={260}>
        <Menu.Target>
          <Button
            variant="default"
            loading={setStates.isPending}
            rightSection={<IconChevronDown size={14} aria-hidden />}
          >
            {t("channel.changeState")}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {STATES.filter((state) => state !== channel.state).map((state) => (
            <Menu.Item key={state} onClick={() => setStates.mutate({ names: [channel.name], state })}>
              <Text size="sm">{t(`channel.set.${state}`)}</Text>
              <Text size="xs" c="dimmed">
                {t(`channel.stateNote.${state}`)}
              </Text>
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    </Group>
  );
}

function Keys({ channel, add }: { channel: Shape<"Channel">; add: () => void }) {
  const { t } = useTranslation("operator");
  const confirm = useConfirm();
  const remove = useAction(
    (key: string) =>
      api.delete("/api/operator/channels/{name}/keys/{key}", { path: { name: channel.name, key } }),
    { refreshes: CHANNEL_PATHS, done: t("channel.keyRemoved") },
  );
  const ask = async (key: string) => {
    const isSure = await confirm({
      title: t("channel.removeKeyTitle"),
      message: t("channel.removeKeyMessage", { key }),
      confirm: t("channel.removeKey"),
      isDangerous: true,
    });
    if (isSure) remove.mutate(key);
  };
  return (
    <Section
      title={t("channel.keysTitle")}
      description={t("channel.keysNote")}
      actions={
        <Button variant="default" size="sm" leftSection={<IconPlus size={16} aria-hidden />} onClick={add}>
          {t("channel.addKey")}
        </Button>
      }
    >
      <Stack gap={0} component="ul" m={0} p={0} style={{ listStyle: "none" }}>
        {channel.keys.map((key) => (
          <Group
            component="li"
            key={key.name}
            justify="space-between"
            gap="sm"
            py={10}
            style={{ borderTop: "1px solid var(--relay-line)" }}
          >
            <Stack gap={2} miw={0} flex="1 1 220px">
              <Text size="sm" fw={600} style={{ overflowWrap: "anywhere" }}>
                {key.name}
              </Text>
              <KeyState upstreamKey={key} />
            </Stack>
            <Button
              size="compact-sm"
              variant="subtle"
              color="red"
              disabled={channel.keys.length < 2}
              title={channel.keys.length < 2 ? t("channel.lastKey") : undefined}
              loading={remove.isPending && remove.variables === key.name}
              onClick={() => void ask(key.name)}
              aria-label={t("channel.removeKeyNamed", { key: key.name })}
            >
              {t("channel.removeKey")}
            </Button>
          </Group>
        ))}
      </Stack>
    </Section>
  );
}

function KeyState({ upstreamKey }: { upstreamKey: Shape<"UpstreamKey"> }) {
  const { t } = useTranslation("operator");
  if (upstreamKey.refused_as === null) {
    return (
      <Text size="xs" c="dimmed" component="div">
        {t("channel.keyGood")}
        {upstreamKey.tested !== null && (
          <>
            {" · "}
            {t("channel.keyTested")} <Moment seconds={upstreamKey.tested} />
          </>
        )}
      </Text>
    );
  }
  return (
    <Group gap={6}>
      <Badge color="red" variant="light" tt="none">
        {t(`channel.refusedAs.${upstreamKey.refused_as}`)}
      </Badge>
      <Text size="xs" c="dimmed" component="div">
        {t("channel.keyRefusedSince")} <Moment seconds={upstreamKey.refused} />
        {" · "}
        {t("channel.keyTested")} <Moment seconds={upstreamKey.tested} />
      </Text>
      <Text size="xs" w="100%">
        {t(`channel.refusedHelp.${upstreamKey.refused_as}`)}
      </Text>
    </Group>
  );
}

function Models({ channel }: { channel: Shape<"Channel"> }) {
  const { t } = useTranslation("operator");
  const [search, setSearch] = useState("");
  const [isWhole, setWhole] = useState(false);
  const all = Object.entries(channel.models);
  const wanted = search.toLowerCase();
  const found = all.filter((names) => names.some((name) => name.toLowerCase().includes(wanted)));
  const shown = isWhole ? found : found.slice(0, SHOWN_MODELS);
  return (
    <Section
      title={t("channel.modelsTitle", { count: all.length })}
      description={t("channel.modelsNote")}
      actions={
        all.length > 10 && (
          <SearchField label={t("channel.searchModels")} value={search} onChange={setSearch} />
        )
      }
    >
      <Table verticalSpacing={6} fz="sm" layout="fixed">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("channel.ours")}</Table.Th>
            <Table.Th>{t("channel.theirs")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {shown.map(([ours, theirs]) => (
            <Table.Tr key={ours}>
              <Table.Td style={{ overflowWrap: "anywhere" }}>{ours}</Table.Td>
              <Table.Td style={{ overflowWrap: "anywhere" }} c={ours === theirs ? "dimmed" : undefined}>
                {ours === theirs ? t("channel.sameName") : theirs}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      {found.length === 0 && (
        <Text size="sm" c="dimmed">
          {t("channel.noSuchModel")}
        </Text>
      )}
      {shown.length < found.length && (
        <Button
          variant="default"
          size="sm"
          onClick={() => setWhole(true)}
          style={{ alignSelf: "flex-start" }}
        >
          {t("channel.allModels", { count: found.length })}
        </Button>
      )}
    </Section>
  );
}

function Settings({ channel }: { channel: Shape<"Channel"> }) {
  const { t } = useTranslation("operator");
  return (
    <Section title={t("channel.settingsTitle")}>
      <Facts
        items={[
          [t("channel.priority"), channel.priority],
          [t("channel.weight"), channel.weight],
          [t("channel.abortPolicy"), t(`channel.abort.${channel.abort_policy}`)],
          [
            t("channel.slowSeconds"),
            channel.slow_seconds === null
              ? t("channel.slowDefault")
              : t("channel.seconds", { count: channel.slow_seconds }),
          ],
          [t("channel.outputParameter"), channel.output_parameter],
          [t("channel.authHeader"), t(`channel.auth.${channel.auth_header}`)],
          [t("channel.headers"), <Pairs key="headers" given={channel.headers} />],
          [t("channel.setParameters"), <Pairs key="set" given={channel.set_parameters} />],
          [t("channel.defaultParameters"), <Pairs key="default" given={channel.default_parameters} />],
          [t("channel.dropParameters"), channel.drop_parameters.join(", ") || t("none")],
        ]}
      />
    </Section>
  );
}

function Pairs({ given }: { given: Record<string, string> }) {
  const { t } = useTranslation("operator");
  const pairs = Object.entries(given);
  if (pairs.length === 0) return t("none");
  return pairs.map(([name, value]) => (
    <Text key={name} size="sm" ff="monospace" style={{ overflowWrap: "anywhere" }}>
      {`${name}: ${value}`}
    </Text>
  ));
}
