import { Alert, Badge, Button, Group, Select, SimpleGrid, Stack, Tabs, Text } from "@mantine/core";
import { IconArrowsUpDown, IconBan, IconPlayerPlay } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useParams } from "wouter";
import { api } from "../../../api/client";
import { apiQuery, meQuery, type Shape } from "../../../api/queries";
import { CopyButton } from "../../../ui/CopyButton";
import { useConfirm } from "../../../ui/confirm";
import { Loaded } from "../../../ui/Loaded";
import { PageHeader } from "../../../ui/PageHeader";
import { Section } from "../../../ui/Section";
import { useAction } from "../../../ui/useAction";
import { useFilters } from "../../../ui/useFilters";
import { Moment, Usd } from "../../../ui/values";
import { decoded } from "../parts/addresses";
import { Back } from "../parts/Back";
import { Figure } from "../parts/Figure";
import { AccountLimits } from "./AccountLimits";
import { AccountRequests } from "./AccountRequests";
import { AccountTransfers } from "./AccountTransfers";
import { CreditDialog } from "./CreditDialog";
import { ACCOUNT_PATHS } from "./paths";
import { StatusBadge } from "./StatusBadge";

const DEFAULTS = { tab: "account" };

export default function Account() {
  const { t } = useTranslation(["operator", "common"]);
  const id = decoded(useParams<{ accountId: string }>().accountId);
  const query = useQuery(apiQuery("/api/operator/accounts/{account_id}", { path: { account_id: id } }));
  return (
    <>
      <Back href="/operator/accounts" label={t("common:navigation.accounts")} />
      <Loaded query={query}>{(detail) => <Body detail={detail} />}</Loaded>
    </>
  );
}

function Body({ detail }: { detail: Shape<"AccountDetail"> }) {
  const { t } = useTranslation("operator");
  const { account } = detail;
  const [{ tab }, setFilters] = useFilters(DEFAULTS);
  const [isCrediting, setCrediting] = useState(false);
  return (
    <>
      <PageHeader
        title={account.name}
        description={
          <Group gap={6} component="span" display="inline-flex">
            <Text span inherit ff="monospace" fz="xs" style={{ overflowWrap: "anywhere" }}>
              {account.id}
            </Text>
            <CopyButton value={account.id} what={t("account.id")} />
            <span>
              {t("account.since")} <Moment seconds={account.created} isAbsolute />
            </span>
          </Group>
        }
        actions={
          <>
            <StatusBadge status={account.status} />
            <Button
              leftSection={<IconArrowsUpDown size={16} aria-hidden />}
              onClick={() => setCrediting(true)}
            >
              {t("account.credit")}
            </Button>
            <StatusButton account={account} />
          </>
        }
      />
      <Stack gap="md">
        {account.status === "suspended" && (
          <Alert color="red" icon={<IconBan size={18} aria-hidden />}>
            {t("account.suspendedNote")}
          </Alert>
        )}
        <SimpleGrid cols={{ base: 2, md: 4 }}>
          <Figure label={t("accounts.available")} value={<Usd value={account.available_usd} />} />
          <Figure
            label={t("accounts.held")}
            value={<Usd value={account.held_usd} />}
            note={t("account.running", { count: detail.used.running })}
          />
          <Figure label={t("accounts.spent")} value={<Usd value={account.spent_usd} />} />
          <Figure label={t("accounts.keys")} value={account.keys} />
        </SimpleGrid>
        <Tabs value={tab} onChange={(chosen) => setFilters({ tab: chosen ?? "account" })} keepMounted={false}>
          <Tabs.List mb="md">
            <Tabs.Tab value="account">{t("account.tab.account")}</Tabs.Tab>
            <Tabs.Tab value="transfers">{t("account.tab.transfers")}</Tabs.Tab>
            <Tabs.Tab value="requests">{t("account.tab.requests")}</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="account">
            <Stack gap="md">
              <People people={detail.people} />
              <AccountLimits detail={detail} />
              <GroupPanel account={account} />
            </Stack>
          </Tabs.Panel>
          <Tabs.Panel value="transfers">
            <AccountTransfers accountId={account.id} />
          </Tabs.Panel>
          <Tabs.Panel value="requests">
            <AccountRequests accountId={account.id} />
          </Tabs.Panel>
        </Tabs>
      </Stack>
      {isCrediting && <CreditDialog account={account} onClose={() => setCrediting(false)} />}
    </>
  );
}

function StatusButton({ account }: { account: Shape<"Account"> }) {
  const { t } = useTranslation("operator");
  const confirm = useConfirm();
  const me = useQuery(meQuery());
  const isActive = account.status === "active";
  const isOwn = me.data?.account_id === account.id;
  const change = useAction(
    (status: Shape<"Account">["status"]) =>
      api.put("/api/operator/accounts/{account_id}/status", {
        path: { account_id: account.id },
        body: { status },
      }),
    { refreshes: ACCOUNT_PATHS, done: t(isActive ? "account.suspended" : "account.reactivated") },
  );
  const ask = async () => {
    const isSure = await confirm(
      isActive
        ? {
            title: t("account.suspendTitle"),
            message: t("account.suspendMessage", { name: account.name }),
            confirm: t("account.suspend"),
            isDangerous: true,
          }
        : {
            title: t("account.reactivateTitle"),
            message: t("account.reactivateMessage", { name: account.name }),
            confirm: t("account.reactivate"),
          },
    );
    if (isSure) change.mutate(isActive ? "suspended" : "active");
  };
  const Icon = isActive ? IconBan : IconPlayerPlay;
  return (
    <Button
      variant="default"
      leftSection={<Icon size={16} aria-hidden />}
      loading={change.isPending}
      disabled={isOwn && isActive}
      title={isOwn && isActive ? t("account.ownAccount") : undefined}
      onClick={() => void ask()}
    >
      {t(isActive ? "account.suspend" : "account.reactivate")}
    </Button>
  );
}

function People({ people }: { people: readonly Shape<"Person">[] }) {
  const { t } = useTranslation("operator");
  return (
    <Section title={t("account.people")}>
      {people.length === 0 && (
        <Text size="sm" c="dimmed">
          {t("account.noPeople")}
        </Text>
      )}
      <Stack gap={0} component="ul" m={0} p={0} style={{ listStyle: "none" }}>
        {people.map((person) => (
          <PersonLine key={person.id} person={person} />
        ))}
      </Stack>
    </Section>
  );
}

function PersonLine({ person }: { person: Shape<"Person"> }) {
  const { t } = useTranslation("operator");
  const confirm = useConfirm();
  const me = useQuery(meQuery());
  const isMe = me.data?.user_id === person.id;
  const isOperator = person.role === "admin";
  const change = useAction(
    (role: Shape<"Person">["role"]) =>
      api.put("/api/operator/people/{user_id}/role", { path: { user_id: person.id }, body: { role } }),
    { refreshes: ACCOUNT_PATHS, done: t(isOperator ? "person.noMoreOperator" : "person.nowOperator") },
  );
  const ask = async () => {
    const isSure = await confirm({
      title: t(isOperator ? "person.endOperatorTitle" : "person.makeOperatorTitle"),
      message: t(isOperator ? "person.endOperatorMessage" : "person.makeOperatorMessage", {
        email: person.email,
      }),
      confirm: t(isOperator ? "person.endOperator" : "person.makeOperator"),
      isDangerous: !isOperator,
    });
    if (isSure) change.mutate(isOperator ? "member" : "admin");
  };
  return (
    <Group
      component="li"
      justify="space-between"
      gap="sm"
      py={10}
      style={{ borderTop: "1px solid var(--relay-line)" }}
    >
      <Stack gap={4} miw={0} flex="1 1 260px">
        <Group gap="xs">
          <Text size="sm" fw={600} style={{ overflowWrap: "anywhere" }}>
            {person.email}
          </Text>
          <Badge variant="light" color={isOperator ? "blue" : "gray"} tt="none">
            {t(`person.role.${person.role}`)}
          </Badge>
          {!person.is_confirmed && (
            <Badge variant="light" color="yellow" tt="none">
              {t("person.unconfirmed")}
            </Badge>
          )}
        </Group>
        <Text size="xs" c="dimmed" component="div">
          {t(person.has_second_factor ? "person.hasSecondFactor" : "person.noSecondFactor")}
          {" · "}
          {person.seen === null ? (
            t("person.neverSeen")
          ) : (
            <>
              {t("person.seen")} <Moment seconds={person.seen} />
            </>
          )}
        </Text>
      </Stack>
      <Button
        size="compact-sm"
        variant="default"
        disabled={isMe}
        title={isMe ? t("person.ownRole") : undefined}
        loading={change.isPending}
        onClick={() => void ask()}
      >
        {t(isOperator ? "person.endOperator" : "person.makeOperator")}
      </Button>
    </Group>
  );
}

function GroupPanel({ account }: { account: Shape<"Account"> }) {
  const { t } = useTranslation(["operator", "common"]);
  const groups = useQuery(apiQuery("/api/operator/groups"));
  const [chosen, setChosen] = useState(account.group_name);
  const change = useAction(
    (name: string | null) =>
      api.put("/api/operator/accounts/{account_id}/group", {
        path: { account_id: account.id },
        body: { group_name: name },
      }),
    { refreshes: ACCOUNT_PATHS, done: t("account.groupSet") },
  );
  return (
    <Section title={t("accounts.group")} description={t("account.groupNote")}>
      <Group gap="xs" align="flex-end">
        <Select
          aria-label={t("accounts.group")}
          placeholder={t("account.noGroup")}
          data={groups.data?.items.map((group) => group.name) ?? []}
          value={chosen}
          onChange={setChosen}
          clearable
          clearButtonProps={{ "aria-label": t("common:clear") }}
          searchable
          nothingFoundMessage={t("groups.none")}
          w={280}
          maw="100%"
        />
        <Button
          variant="default"
          disabled={chosen === account.group_name}
          loading={change.isPending}
          onClick={() => change.mutate(chosen)}
        >
          {t("save")}
        </Button>
      </Group>
    </Section>
  );
}
