import { ActionIcon, Anchor, Button, Checkbox, Group, Menu, Select, Stack, Text } from "@mantine/core";
import {
  IconBuildingBroadcastTower,
  IconCopy,
  IconDots,
  IconPencil,
  IconPlayerPlay,
  IconPlus,
  IconTrash,
} from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation } from "wouter";
import { apiQuery, type Shape } from "../../../api/queries";
import { Empty } from "../../../ui/Empty";
import { FilterBar } from "../../../ui/FilterBar";
import { Lines, Loaded } from "../../../ui/Loaded";
import { type Column, PlainTable } from "../../../ui/PagedTable";
import { PageHeader } from "../../../ui/PageHeader";
import { SearchField } from "../../../ui/SearchField";
import { useFilters } from "../../../ui/useFilters";
import { to } from "../parts/addresses";
import { Long } from "../parts/Long";
import { type Asked, ChannelDialogs } from "./ChannelDialogs";
import { KeySummary, ModelSummary, STATES, StateBadge } from "./state";
import { useSetStates } from "./useChannelActions";

const DEFAULTS = { search: "", state: "" };
const NEW = "/operator/channels/new/form";

export default function Channels() {
  const { t } = useTranslation(["operator", "common"]);
  const query = useQuery(apiQuery("/api/operator/channels"));
  return (
    <>
      <PageHeader
        title={t("common:navigation.channels")}
        description={t("channels.description")}
        actions={
          <Button component={Link} href={NEW} leftSection={<IconPlus size={16} aria-hidden />}>
            {t("channels.new")}
          </Button>
        }
      />
      <Loaded query={query} skeleton={<Lines count={6} height={44} />}>
        {({ items }) => <List channels={items} />}
      </Loaded>
    </>
  );
}

function List({ channels }: { channels: readonly Shape<"Channel">[] }) {
  const { t } = useTranslation(["operator", "common"]);
  const [filters, setFilters, clear] = useFilters(DEFAULTS);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [asked, setAsked] = useState<Asked>(null);
  const shown = channels.filter((channel) => fits(channel, filters));
  const chosen = shown.filter((channel) => selected.has(channel.name)).map((channel) => channel.name);
  const setStates = useSetStates(() => setSelected(new Set()));
  const toggle = (name: string) => {
    const after = new Set(selected);
    if (!after.delete(name)) after.add(name);
    setSelected(after);
  };
  const columns: Column<Shape<"Channel">>[] = [
    {
      key: "name",
      header: t("channels.name"),
      render: (channel) => (
        <Group gap="sm" wrap="nowrap">
          <Checkbox
            size="xs"
            checked={selected.has(channel.name)}
            onChange={() => toggle(channel.name)}
            aria-label={t("channels.select", { name: channel.name })}
          />
          <Stack gap={0} miw={0}>
            <Anchor component={Link} href={to.channel(channel.name)} fw={600} inherit underline="hover">
              <Long width={240}>{channel.name}</Long>
            </Anchor>
            <Text size="xs" c="dimmed" fw={400} component="div">
              <Long width={240}>{hostOf(channel.base_url)}</Long>
            </Text>
          </Stack>
        </Group>
      ),
    },
    { key: "state", header: t("channels.state"), render: (channel) => <StateBadge state={channel.state} /> },
    {
      key: "models",
      header: t("channels.models"),
      render: (channel) => <ModelSummary models={channel.models} />,
    },
    { key: "keys", header: t("channels.keys"), render: (channel) => <KeySummary keys={channel.keys} /> },
    { key: "priority", header: t("channels.priority"), isFigure: true, render: ({ priority }) => priority },
    { key: "weight", header: t("channels.weight"), isFigure: true, render: ({ weight }) => weight },
    {
      key: "do",
      header: t("channels.actions"),
      isUnnamed: true,
      isFigure: true,
      render: (channel) => <RowMenu channel={channel} ask={setAsked} />,
    },
  ];
  return (
    <Stack gap="md">
      <FilterBar>
        <SearchField
          label={t("channels.search")}
          value={filters.search}
          onChange={(search) => setFilters({ search })}
        />
        <Select
          aria-label={t("channels.state")}
          placeholder={t("channels.anyState")}
          data={STATES.map((state) => ({ value: state, label: t(`channel.state.${state}`) }))}
          value={filters.state || null}
          onChange={(state) => setFilters({ state: state ?? "" })}
          clearable
          clearButtonProps={{ "aria-label": t("common:clear") }}
          w={150}
        />
      </FilterBar>
      {shown.length > 0 && (
        <Group gap="sm" mih={30} pl={{ base: 15, sm: 17 }}>
          <Checkbox
            size="xs"
            label={
              chosen.length === 0 ? t("channels.selectAll") : t("channels.selected", { count: chosen.length })
            }
            checked={chosen.length === shown.length}
            indeterminate={chosen.length > 0 && chosen.length < shown.length}
            onChange={() =>
              setSelected(chosen.length === shown.length ? new Set() : new Set(shown.map(({ name }) => name)))
            }
          />
          {chosen.length > 0 && (
            <Group gap="xs" role="group" aria-label={t("channels.setStates")}>
              {STATES.map((state) => (
                <Button
                  key={state}
                  size="compact-sm"
                  variant="default"
                  loading={setStates.isPending && setStates.variables?.state === state}
                  disabled={setStates.isPending}
                  onClick={() => setStates.mutate({ names: chosen, state })}
                >
                  {t(`channel.set.${state}`)}
                </Button>
              ))}
            </Group>
          )}
        </Group>
      )}
      <PlainTable
        label={t("common:navigation.channels")}
        items={shown}
        columns={columns}
        idOf={(channel) => channel.name}
        empty={
          channels.length === 0 ? (
            <Empty
              Icon={IconBuildingBroadcastTower}
              title={t("channels.none")}
              action={
                <Button component={Link} href={NEW} mt="sm">
                  {t("channels.new")}
                </Button>
              }
            >
              {t("channels.noneNote")}
            </Empty>
          ) : (
            <Empty
              Icon={IconBuildingBroadcastTower}
              title={t("channels.noneFits")}
              action={
                <Button variant="default" mt="sm" onClick={clear}>
                  {t("clearFilters")}
                </Button>
              }
            />
          )
        }
      />
      <ChannelDialogs asked={asked} onClose={() => setAsked(null)} />
    </Stack>
  );
}

function RowMenu({ channel, ask }: { channel: Shape<"Channel">; ask: (asked: Asked) => void }) {
  const { t } = useTranslation("operator");
  const [, go] = useLocation();
  const setStates = useSetStates();
  return (
    <Menu position="bottom-end" shadow="md" width={200}>
      <Menu.Target>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={t("channels.menu", { name: channel.name })}
          loading={setStates.isPending}
        >
          <IconDots size={18} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          leftSection={<IconPlayerPlay size={16} aria-hidden />}
          onClick={() => ask({ kind: "test", channel })}
        >
          {t("channel.test")}
        </Menu.Item>
        <Menu.Item
          leftSection={<IconPencil size={16} aria-hidden />}
          onClick={() => go(`${to.channel(channel.name)}/edit`)}
        >
          {t("channel.edit")}
        </Menu.Item>
        <Menu.Item
          leftSection={<IconCopy size={16} aria-hidden />}
          onClick={() => ask({ kind: "copy", channel })}
        >
          {t("channel.copy")}
        </Menu.Item>
        <Menu.Divider />
        {STATES.filter((state) => state !== channel.state).map((state) => (
          <Menu.Item key={state} onClick={() => setStates.mutate({ names: [channel.name], state })}>
            {t(`channel.set.${state}`)}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item
          color="red"
          leftSection={<IconTrash size={16} aria-hidden />}
          onClick={() => ask({ kind: "delete", channel })}
        >
          {t("channel.delete")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function fits(channel: Shape<"Channel">, filters: typeof DEFAULTS): boolean {
  if (filters.state !== "" && channel.state !== filters.state) return false;
  const wanted = filters.search.toLowerCase();
  if (wanted === "") return true;
  return [
    channel.name,
    channel.base_url,
    ...Object.keys(channel.models),
    ...Object.values(channel.models),
  ].some((text) => text.toLowerCase().includes(wanted));
}

function hostOf(url: string): string {
  return URL.parse(url)?.host || url;
}
