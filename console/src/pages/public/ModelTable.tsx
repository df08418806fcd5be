import { Group, Text, Title } from "@mantine/core";
import { IconCpu, IconSearchOff } from "@tabler/icons-react";
import type { UseQueryResult } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../api/queries";
import { formatContext, formatUsd } from "../../format";
import { useLanguage } from "../../i18n";
import { CopyButton } from "../../ui/CopyButton";
import { Empty } from "../../ui/Empty";
import { Lines, Loaded } from "../../ui/Loaded";
import { type Column, PlainTable } from "../../ui/PagedTable";
import { SearchField } from "../../ui/SearchField";
import classes from "./Landing.module.css";

type Model = Shape<"Model">;
type Part = "input" | "output" | "cache_read";

const CAPABILITIES = [
  "reasoning",
  "tools",
  "json_schema",
  "vision",
  "pdf_input",
  "audio_input",
  "video_input",
  "prompt_caching",
] as const;

/** Every model with its prices, and a search over names and capabilities. */
export function ModelTable({ query }: { query: UseQueryResult<Shape<"Models">> }) {
  const { t } = useTranslation("public");
  const [search, setSearch] = useState("");
  return (
    <>
      <Group justify="space-between" mb="md" align="flex-end">
        <div>
          <Title order={2} id="models" mb={2}>
            {t("models.title")}
          </Title>
          <Text c="dimmed" size="sm">
            {t("models.unit")}
          </Text>
        </div>
        <SearchField label={t("models.search")} value={search} onChange={setSearch} />
      </Group>
      <Loaded query={query} skeleton={<Lines count={8} height={28} />}>
        {({ items }) => <Models items={items} search={search} />}
      </Loaded>
    </>
  );
}

function Models({ items, search }: { items: readonly Model[]; search: string }) {
  const { t } = useTranslation("public");
  const none = t("models.none");
  const nameOf = useCapability();
  const wanted = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = items.filter((model) => {
    const capabilities = model.capabilities.flatMap((capability) => [capability, nameOf(capability)]);
    const text = [model.id, ...capabilities].join(" ").toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
  const length = (tokens: number | null) =>
    tokens === null ? <span className={classes.muted}>{none}</span> : formatContext(tokens);
  const price = (part: Part): Column<Model> => ({
    key: part,
    header: t(`models.${part}`),
    isFigure: true,
    render: ({ figures }) => <Price figures={figures} part={part} />,
  });
  const columns: Column<Model>[] = [
    { key: "id", header: t("models.name"), render: (model) => <Name model={model} /> },
    {
      key: "context",
      header: t("models.context"),
      isFigure: true,
      render: (model) => length(model.context_tokens),
    },
    {
      key: "longest",
      header: t("models.longest"),
      isFigure: true,
      isWideOnly: true,
      render: (model) => length(model.max_output_tokens),
    },
    price("input"),
    price("cache_read"),
    price("output"),
  ];
  const empty =
    items.length === 0 ? (
      <Empty Icon={IconCpu} title={t("models.emptyTitle")}>
        {t("models.empty")}
      </Empty>
    ) : (
      <Empty Icon={IconSearchOff} title={t("models.nothingTitle")}>
        {t("models.nothing")}
      </Empty>
    );
  return (
    <PlainTable
      label={t("models.title")}
      columns={columns}
      items={found}
      idOf={({ id }) => id}
      empty={empty}
    />
  );
}

function Name({ model }: { model: Model }) {
  const name = useCapability();
  return (
    <>
      <span className={classes.model}>
        {model.id}
        <CopyButton value={model.id} what={model.id} />
      </span>
      {model.capabilities.length > 0 && (
        <span className={classes.capabilities}>{inOrder(model.capabilities).map(name).join(" · ")}</span>
      )}
    </>
  );
}

/** A capability in words; one that an operator has named stands as it is. */
function useCapability(): (capability: string) => string {
  const { t } = useTranslation("public");
  return (capability) =>
    isKnown(capability) ? t(`models.capability.${capability}`) : capability.replaceAll("_", " ");
}

/** What matters most first, and what is not known here last. */
function inOrder(capabilities: readonly string[]): string[] {
  const known = CAPABILITIES.filter((each) => capabilities.includes(each));
  return [...known, ...capabilities.filter((each) => !isKnown(each))];
}

function isKnown(capability: string): capability is (typeof CAPABILITIES)[number] {
  return (CAPABILITIES as readonly string[]).includes(capability);
}

function Price({ figures, part }: { figures: Model["figures"]; part: Part }) {
  const { t } = useTranslation("public");
  const { locale } = useLanguage();
  return figures.map((tier) =>
    tier.above_input_tokens === 0 ? (
      <span key={0}>{formatUsd(tier[part], locale, true)}</span>
    ) : (
      <span key={tier.above_input_tokens} className={classes.tier}>
        {t("models.above", {
          price: formatUsd(tier[part], locale, true),
          tokens: formatContext(tier.above_input_tokens),
        })}
      </span>
    ),
  );
}
