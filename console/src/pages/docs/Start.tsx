import "../../theme/full";
import { Anchor, Group, Select, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { Trans, useTranslation } from "react-i18next";
import { Link } from "wouter";
import { apiQuery, siteQuery } from "../../api/queries";
import { type Filling, snippet, snippets } from "../../snippets";
import { CodeBlock, CodeTabs } from "../../ui/CodeBlock";
import { PageHeader } from "../../ui/PageHeader";
import { Clients } from "./Clients";
import { Errors } from "./Errors";
import { Parameters } from "./Parameters";
import classes from "./Start.module.css";

const PARTS = ["steps", "call", "streaming", "parameters", "errors", "receipts", "clients"] as const;
type Part = (typeof PARTS)[number];

/** How to use the site: the steps, code that is ready to run, and what comes back. */
export default function Start() {
  const { t } = useTranslation("docs");
  const site = useQuery(siteQuery()).data;
  const models = useQuery(apiQuery("/api/models")).data?.items ?? [];
  const [chosen, choose] = useState<string | null>(null);
  const filling: Filling = { baseUrl: site?.base_url, model: chosen ?? models[0]?.id };
  useEffect(() => {
    if (window.location.hash) document.getElementById(window.location.hash.slice(1))?.scrollIntoView();
  }, []);
  return (
    <div className={classes.page}>
      <div className={classes.content}>
        <PageHeader
          title={t("title")}
          description={t("description")}
          actions={
            models.length > 0 && (
              <Select
                aria-label={t("model")}
                description={t("model")}
                searchable
                allowDeselect={false}
                data={models.map(({ id }) => id)}
                value={filling.model ?? null}
                onChange={choose}
                w={250}
              />
            )
          }
        />
        <Steps />
        <Block part="call">
          <p>
            <Text name="call.text" />
          </p>
          {site && <CodeBlock title={t("baseUrl")} code={site.base_url} />}
          <CodeTabs codes={snippets("call", filling)} />
        </Block>
        <Block part="streaming">
          <p>
            <Text name="streaming.text" />
          </p>
          <CodeTabs codes={snippets("stream", filling)} />
          <p>
            <Text name="streaming.format" />
          </p>
          <CodeBlock title={t("streaming.events")} code={snippet("stream.format", filling)} />
          <p>
            <Text name="streaming.broken" />
          </p>
        </Block>
        <Block part="parameters">
          <Parameters />
        </Block>
        <Block part="errors">
          <Errors />
        </Block>
        <Block part="receipts">
          <p>
            <Text name="receipts.text" />
          </p>
          <CodeBlock code={snippet("receipt", filling)} />
          <p>
            <Text name="receipts.limits" />
          </p>
        </Block>
        <Block part="clients">
          <Clients filling={filling} />
        </Block>
      </div>
      <Contents />
    </div>
  );
}

function Steps() {
  const { t } = useTranslation("docs");
  const to = (href: string) => <Anchor component={Link} href={href} inherit />;
  return (
    <Block part="steps">
      <ol className={classes.steps}>
        <li>
          <div>
            <Trans
              t={t}
              i18nKey="steps.first"
              components={{ signUp: to("/sign-up"), wallet: to("/wallet") }}
            />
          </div>
        </li>
        <li>
          <div>
            <Trans t={t} i18nKey="steps.second" components={{ keys: to("/keys") }} />
          </div>
        </li>
        <li>
          <div>{t("steps.third")}</div>
        </li>
      </ol>
    </Block>
  );
}

function Block({ part, children }: { part: Part; children: ReactNode }) {
  const { t } = useTranslation("docs");
  return (
    <section id={part} className={classes.section} aria-labelledby={`${part}-title`}>
      <h2 id={`${part}-title`}>{t(`parts.${part}`)}</h2>
      <Stack gap="md">{children}</Stack>
    </section>
  );
}

function Text({
  name,
}: {
  name:
    | "call.text"
    | "streaming.text"
    | "streaming.format"
    | "streaming.broken"
    | "receipts.text"
    | "receipts.limits";
}) {
  const { t } = useTranslation("docs");
  return <Trans t={t} i18nKey={name} components={{ code: <code /> }} />;
}

function Contents() {
  const { t } = useTranslation("docs");
  return (
    <nav className={classes.contents} aria-label={t("contents")}>
      <ul>
        {PARTS.map((part) => (
          <li key={part}>
            <a href={`#${part}`}>{t(`parts.${part}`)}</a>
          </li>
        ))}
      </ul>
      <Group mt="md">
        <Anchor href="/docs" size="sm">
          {t("reference")}
        </Anchor>
      </Group>
    </nav>
  );
}
