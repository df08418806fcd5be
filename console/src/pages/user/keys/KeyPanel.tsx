import { Button, Code, Drawer, Group, Stack, Text } from "@mantine/core";
import { IconList, IconPencil, IconRefresh, IconTrash } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { apiQuery, type Shape } from "../../../api/queries";
import { Loaded } from "../../../ui/Loaded";
import { Moment, Usd } from "../../../ui/values";
import { Facts } from "../parts/Facts";
import { Limits } from "../parts/Limits";
import { KeyState } from "../parts/states";
import { useLast } from "../parts/useLast";
import type { Ask } from "./asking";

/** One key at the side of the list, with all that is known of it. */
export function KeyPanel({ keyId, close, ask }: { keyId: string | undefined; close: () => void; ask: Ask }) {
  const { t } = useTranslation(["user", "common"]);
  const shown = useLast(keyId);
  const key = useQuery({
    ...apiQuery("/api/keys/{key_id}", { path: { key_id: shown ?? "" } }),
    enabled: keyId !== undefined,
  });
  return (
    <Drawer
      opened={keyId !== undefined}
      onClose={close}
      position="right"
      size={500}
      title={key.data?.name ?? t("keys.one")}
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      <Loaded query={key}>{(data) => <Details of={data} ask={ask} />}</Loaded>
    </Drawer>
  );
}

function Details({ of, ask }: { of: Shape<"Key">; ask: Ask }) {
  const { t } = useTranslation("user");
  return (
    <Stack gap="lg">
      <Facts
        facts={[
          [t("keys.state"), <KeyState key="state" state={of.state} />],
          [t("keys.begins"), <Code key="hint">{`${of.hint}…`}</Code>],
          [t("keys.spent"), <Usd key="spent" value={of.spent_usd} />],
          [
            t("keys.lastUsed"),
            of.last_used === null ? t("keys.never") : <Moment key="used" seconds={of.last_used} />,
          ],
          [t("keys.created"), <Moment key="created" seconds={of.created} isAbsolute />],
          [
            t("keys.expires"),
            of.expires === null ? t("keys.lasts") : <Moment key="expires" seconds={of.expires} isAbsolute />,
          ],
        ]}
      />
      <Part title={t("keys.models")}>
        {of.allowed_models.length === 0 ? t("keys.allModels") : <Names names={of.allowed_models} />}
      </Part>
      <Part title={t("keys.addresses")}>
        {of.allowed_addresses.length === 0 ? t("keys.anyAddress") : <Names names={of.allowed_addresses} />}
      </Part>
      <Part title={t("keys.limits")}>
        <Limits limits={of.limits} used={of.used} none={t("keys.noLimits")} />
      </Part>
      <Group gap="xs">
        <Button
          component={Link}
          href={`/usage?key=${of.id}`}
          variant="default"
          size="xs"
          leftSection={<IconList size={16} aria-hidden />}
        >
          {t("keys.calls")}
        </Button>
        {of.state !== "revoked" && (
          <>
            <Button
              variant="default"
              size="xs"
              leftSection={<IconPencil size={16} aria-hidden />}
              onClick={() => ask({ what: "edit", key: of })}
            >
              {t("keys.edit")}
            </Button>
            <Button
              variant="default"
              size="xs"
              leftSection={<IconRefresh size={16} aria-hidden />}
              onClick={() => ask({ what: "rotate", key: of })}
            >
              {t("keys.rotate")}
            </Button>
            <Button
              variant="light"
              color="red"
              size="xs"
              leftSection={<IconTrash size={16} aria-hidden />}
              onClick={() => ask({ what: "revoke", key: of })}
            >
              {t("keys.revoke")}
            </Button>
          </>
        )}
      </Group>
    </Stack>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <Text component="h3" size="sm" fw={600} m={0} mb={6}>
        {title}
      </Text>
      <Text size="sm" component="div" c={typeof children === "string" ? "dimmed" : undefined}>
        {children}
      </Text>
    </section>
  );
}

function Names({ names }: { names: readonly string[] }) {
  return (
    <Group gap={6}>
      {names.map((name) => (
        <Code key={name} style={{ overflowWrap: "anywhere" }}>
          {name}
        </Code>
      ))}
    </Group>
  );
}
