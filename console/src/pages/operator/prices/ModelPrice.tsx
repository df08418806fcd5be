import { Alert, Badge, Group, Stack, Text } from "@mantine/core";
import { IconCalendarTime } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { apiQuery, type Shape } from "../../../api/queries";
import { Loaded } from "../../../ui/Loaded";
import { PageHeader } from "../../../ui/PageHeader";
import { Section } from "../../../ui/Section";
import { Count, Moment } from "../../../ui/values";
import { to } from "../parts/addresses";
import { Back } from "../parts/Back";
import { Facts } from "../parts/Facts";
import { FiguresTable } from "./FiguresTable";
import { PriceForm } from "./PriceForm";
import { PriceState } from "./PriceState";

/** One model: its price in force, what is scheduled, every version, and the form for a new one. */
export function ModelPrice({ model }: { model: string }) {
  const { t } = useTranslation(["operator", "common"]);
  const prices = useQuery(apiQuery("/api/operator/prices"));
  return (
    <>
      <Back href="/operator/prices" label={t("common:navigation.prices")} />
      <PageHeader title={model} description={t("prices.perMillion")} />
      <Loaded query={prices}>
        {({ items }) => (
          <Body
            key={model}
            found={
              items.find((each) => each.model === model) ?? {
                model,
                price: null,
                scheduled: [],
                channels: [],
              }
            }
          />
        )}
      </Loaded>
    </>
  );
}

function Body({ found }: { found: Shape<"PricedModel"> }) {
  const { t } = useTranslation("operator");
  // A new form for each version that is stored: what was written is in force then, or scheduled.
  const [saved, setSaved] = useState(0);
  const known = [found.price, ...found.scheduled].filter((each) => each !== null);
  return (
    <Stack gap="md">
      <InForce found={found} />
      {found.scheduled.map((price) => (
        <Alert
          key={price.version}
          color="blue"
          icon={<IconCalendarTime size={18} aria-hidden />}
          title={
            <>
              {t("prices.scheduledFrom")} <Moment seconds={price.effective} isAbsolute />
            </>
          }
        >
          <FiguresTable figures={price.figures} label={t("prices.scheduledFigures")} />
        </Alert>
      ))}
      <Section
        title={t(found.price === null ? "prices.firstPrice" : "prices.newVersion")}
        description={t("prices.newVersionNote")}
      >
        <PriceForm
          key={`${saved} ${known.length}`}
          model={found.model}
          before={found.price}
          onDone={() => setSaved(saved + 1)}
        />
      </Section>
      {known.length > 0 && <History model={found.model} inForce={found.price?.version ?? null} />}
    </Stack>
  );
}

function InForce({ found }: { found: Shape<"PricedModel"> }) {
  const { t } = useTranslation("operator");
  const { price } = found;
  const channels =
    found.channels.length === 0 ? (
      t("prices.noChannel")
    ) : (
      <Group gap={6}>
        {found.channels.map((name) => (
          <Badge
            key={name}
            component={Link}
            href={to.channel(name)}
            variant="default"
            tt="none"
            maw={240}
            style={{ cursor: "pointer" }}
          >
            {name}
          </Badge>
        ))}
      </Group>
    );
  return (
    <Section title={t("prices.now")} actions={<PriceState model={found} />}>
      {price === null ? (
        <Text size="sm">{t(found.channels.length > 0 ? "prices.refusedNote" : "prices.noPriceNote")}</Text>
      ) : (
        <FiguresTable figures={price.figures} label={t("prices.now")} />
      )}
      <Facts
        items={[
          [t("prices.channels"), channels],
          ...(price === null
            ? []
            : ([
                [t("prices.since"), <Moment key="since" seconds={price.effective} isAbsolute />],
                [t("prices.context"), <Count key="context" value={price.context_tokens} />],
                [t("prices.maxOutput"), <Count key="output" value={price.max_output_tokens} />],
                [t("prices.capabilities"), price.capabilities.join(", ") || t("none")],
                [t("prices.source"), price.source || t("none")],
              ] as const)),
        ]}
      />
    </Section>
  );
}

function History({ model, inForce }: { model: string; inForce: number | null }) {
  const { t } = useTranslation("operator");
  const versions = useQuery(apiQuery("/api/operator/prices/{model}", { path: { model } }));
  return (
    <Section title={t("prices.history")} description={t("prices.historyNote")}>
      <Loaded query={versions}>
        {({ items }) => (
          <Stack gap="lg">
            {items.map((price) => (
              <Stack key={price.version} gap={6}>
                <Group gap="xs">
                  <Text size="sm" fw={600} component="div">
                    {t("prices.version", { version: price.version })}
                  </Text>
                  <Text size="sm" c="dimmed" component="div">
                    {t("prices.from")} <Moment seconds={price.effective} isAbsolute />
                  </Text>
                  {price.version === inForce && (
                    <Badge variant="light" color="green" tt="none">
                      {t("prices.inForce")}
                    </Badge>
                  )}
                  {price.source && (
                    <Text size="xs" c="dimmed" style={{ overflowWrap: "anywhere" }}>
                      {price.source}
                    </Text>
                  )}
                </Group>
                <FiguresTable
                  figures={price.figures}
                  label={t("prices.version", { version: price.version })}
                />
              </Stack>
            ))}
          </Stack>
        )}
      </Loaded>
    </Section>
  );
}
