import { Button, Code, Select, Stack, Text } from "@mantine/core";
import { IconKey, IconPlus, IconSearchOff } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useLocation, useParams } from "wouter";
import { apiPages, type Shape } from "../../api/queries";
import { Empty } from "../../ui/Empty";
import { FilterBar } from "../../ui/FilterBar";
import { type Column, PagedTable } from "../../ui/PagedTable";
import { PageHeader } from "../../ui/PageHeader";
import { SearchField } from "../../ui/SearchField";
import { useFilters } from "../../ui/useFilters";
import { Moment, NoData, Share, Usd } from "../../ui/values";
import type { Ask, Asked } from "./keys/asking";
import { KeyDialog } from "./keys/KeyDialog";
import { KeyMenu } from "./keys/KeyMenu";
import { KeyPanel } from "./keys/KeyPanel";
import { RevokeDialog } from "./keys/RevokeDialog";
import { RotateDialog } from "./keys/RotateDialog";
import { tightest } from "./parts/Limits";
import { KEY_STATES, KeyState } from "./parts/states";

type Key = Shape<"Key">;

const DEFAULTS = { search: "", state: "", create: "" };

/** The account's keys: find, make, change, rotate and revoke them. */
export default function Keys() {
  const { t } = useTranslation(["user", "common"]);
  const [filters, change, clear] = useFilters(DEFAULTS);
  const [, go] = useLocation();
  const { keyId } = useParams<{ keyId?: string }>();
  const [asked, ask] = useState<Asked | null>(null);
  const state = KEY_STATES.find((each) => each === filters.state);
  const keys = useInfiniteQuery(
    apiPages("/api/keys", {
      query: { ...(filters.search ? { search: filters.search } : {}), ...(state ? { state } : {}) },
    }),
  );
  const isFiltered = filters.search !== "" || state !== undefined;
  const goTo = (id: string | null) => go(`/keys${id === null ? "" : `/${id}`}${window.location.search}`);
  const create = (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => change({ create: "yes" })}>
      {t("keys.create")}
    </Button>
  );
  return (
    <>
      <PageHeader title={t("keys.title")} description={t("keys.description")} actions={create} />
      <Stack gap="md">
        <FilterBar>
          <SearchField
            label={t("keys.search")}
            value={filters.search}
            onChange={(search) => change({ search })}
          />
          <Select
            aria-label={t("keys.state")}
            placeholder={t("keys.anyState")}
            value={state ?? null}
            onChange={(chosen) => change({ state: chosen ?? "" })}
            data={KEY_STATES.map((each) => ({ value: each, label: t(`keyState.${each}`) }))}
            clearable
            clearButtonProps={{ "aria-label": t("common:clear") }}
            w={170}
          />
        </FilterBar>
        <PagedTable
          label={t("keys.title")}
          query={keys}
          columns={useColumns(ask)}
          idOf={(key) => key.id}
          onOpen={(key) => goTo(key.id)}
          empty={
            isFiltered ? (
              <Empty
                Icon={IconSearchOff}
                title={t("keys.noneFound")}
                action={
                  <Button variant="default" size="xs" onClick={clear}>
                    {t("filters.clear")}
                  </Button>
                }
              />
            ) : (
              <Empty Icon={IconKey} title={t("keys.none")} action={create}>
                {t("keys.noneText")}
              </Empty>
            )
          }
        />
      </Stack>
      <KeyPanel keyId={keyId} close={() => goTo(null)} ask={ask} />
      <KeyDialog
        isOpen={filters.create !== "" || asked?.what === "edit"}
        edited={asked?.what === "edit" ? asked.key : null}
        close={() => {
          if (filters.create !== "") change({ create: "" });
          ask(null);
        }}
      />
      <RotateDialog of={asked?.what === "rotate" ? asked.key : null} close={() => ask(null)} />
      <RevokeDialog of={asked?.what === "revoke" ? asked.key : null} close={() => ask(null)} />
    </>
  );
}

function useColumns(ask: Ask): Column<Key>[] {
  const { t } = useTranslation("user");
  return [
    {
      key: "name",
      header: t("keys.name"),
      render: (key) => (
        <span style={{ display: "block", overflowWrap: "anywhere", minWidth: 140 }}>
          <Text span size="sm" fw={550} display="block">
            {key.name}
          </Text>
          <Code fz="xs" bg="transparent" p={0} c="dimmed">
            {key.hint}
            {ELLIPSIS}
          </Code>
        </span>
      ),
    },
    { key: "state", header: t("keys.state"), render: (key) => <KeyState state={key.state} /> },
    {
      key: "models",
      header: t("keys.models"),
      isWideOnly: true,
      render: (key) => <Allowed models={key.allowed_models} />,
    },
    { key: "spent", header: t("keys.spent"), isFigure: true, render: (key) => <Usd value={key.spent_usd} /> },
    {
      key: "limit",
      header: t("keys.limitUsed"),
      isFigure: true,
      render: (key) => <TightestLimit of={key} />,
    },
    {
      key: "used",
      header: t("keys.lastUsed"),
      render: (key) =>
        key.last_used === null ? (
          <Text span inherit c="dimmed" style={{ whiteSpace: "nowrap" }}>
            {t("keys.never")}
          </Text>
        ) : (
          <Moment seconds={key.last_used} />
        ),
    },
    {
      key: "expires",
      header: t("keys.expires"),
      render: (key) =>
        key.expires === null ? (
          <Text span inherit c="dimmed">
            {t("keys.lasts")}
          </Text>
        ) : (
          <Moment seconds={key.expires} />
        ),
    },
    {
      key: "menu",
      header: t("keys.actions"),
      isUnnamed: true,
      isFigure: true,
      render: (key) => <KeyMenu of={key} ask={ask} />,
    },
  ];
}

const ELLIPSIS = "…";

function Allowed({ models }: { models: readonly string[] }) {
  const { t } = useTranslation("user");
  const [first] = models;
  if (!first) {
    return (
      <Text span inherit c="dimmed">
        {t("keys.allModels")}
      </Text>
    );
  }
  return (
    <Text span inherit title={models.join(", ")} display="block" maw={200} truncate>
      {models.length === 1 ? first : t("keys.severalModels", { count: models.length - 1, first })}
    </Text>
  );
}

function TightestLimit({ of }: { of: Key }) {
  const { t } = useTranslation("user");
  const most = tightest(of.limits, of.used);
  if (of.state !== "active") return <NoData />;
  if (!most) {
    return (
      <Text span inherit c="dimmed">
        {t("keys.unlimited")}
      </Text>
    );
  }
  return (
    <Text span inherit title={t(`limit.${most.name}`)} c={most.share >= 1 ? "red" : undefined}>
      <Share value={most.share} />
    </Text>
  );
}
