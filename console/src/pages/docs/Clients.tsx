import { Accordion } from "@mantine/core";
import type { ReactNode } from "react";
import { Trans, useTranslation } from "react-i18next";
import { EXAMPLE_KEY, type Filling, snippet } from "../../snippets";
import { CodeBlock } from "../../ui/CodeBlock";
import { CopyButton } from "../../ui/CopyButton";
import classes from "./Start.module.css";

/** How the popular clients are told where to call. */
export function Clients({ filling }: { filling: Filling }) {
  const { t } = useTranslation("docs");
  const baseUrl = filling.baseUrl ?? "";
  const model = filling.model ?? "";
  const host = baseUrl.replace(/\/v1\/?$/, "");
  const codes: [string, string, ReactNode][] = [
    [
      "cherry-studio",
      "Cherry Studio",
      <Fields
        key="fields"
        path={t("clients.cherryStudio")}
        fields={[
          [t("clients.providerType"), "OpenAI"],
          [t("clients.apiHost"), host],
          [t("clients.apiKey"), EXAMPLE_KEY],
          [t("clients.modelId"), model],
        ]}
      />,
    ],
    [
      "cline",
      "Cline",
      <Fields
        key="fields"
        path={t("clients.cline")}
        fields={[
          [t("clients.apiProvider"), "OpenAI Compatible"],
          [t("baseUrl"), baseUrl],
          [t("clients.apiKey"), EXAMPLE_KEY],
          [t("clients.modelId"), model],
        ]}
      />,
    ],
    [
      "continue",
      "Continue",
      <Code key="code" where={t("clients.continue")} code={snippet("continue", filling)} />,
    ],
    [
      "open-webui",
      "Open WebUI",
      <Code key="code" where={t("clients.openWebui")} code={snippet("openWebui", filling)} />,
    ],
    ["aider", "aider", <Code key="code" where={t("clients.aider")} code={snippet("aider", filling)} />],
    [
      "langchain",
      "LangChain",
      <Code key="code" where={t("clients.langchain")} code={snippet("langchain", filling)} />,
    ],
    [
      "ai-sdk",
      "Vercel AI SDK",
      <Code key="code" where={t("clients.aiSdk")} code={snippet("aiSdk", filling)} />,
    ],
  ];
  return (
    <>
      <p>
        <Trans t={t} i18nKey="clients.text" components={{ code: <code /> }} />
      </p>
      <Accordion
        multiple
        variant="contained"
        radius="lg"
        classNames={{ item: classes.client }}
        defaultValue={["cherry-studio"]}
        order={3}
      >
        {codes.map(([id, name, content]) => (
          <Accordion.Item key={id} value={id}>
            <Accordion.Control>{name}</Accordion.Control>
            <Accordion.Panel>{content}</Accordion.Panel>
          </Accordion.Item>
        ))}
      </Accordion>
    </>
  );
}

function Fields({ path, fields }: { path: string; fields: [string, string][] }) {
  return (
    <>
      <p className={classes.path}>{path}</p>
      <dl className={classes.fields}>
        {fields.map(([name, value]) => (
          <div key={name} style={{ display: "contents" }}>
            <dt>{name}</dt>
            <dd>
              <code>{value}</code>
              <CopyButton value={value} what={name} />
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function Code({ where, code }: { where: string; code: string }) {
  return (
    <>
      <p className={classes.path} style={{ marginBottom: 8 }}>
        {where}
      </p>
      <CodeBlock code={code} />
    </>
  );
}
