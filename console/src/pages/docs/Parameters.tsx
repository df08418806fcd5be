import { Trans, useTranslation } from "react-i18next";
import { type Column, PlainTable } from "../../ui/PagedTable";

const NAMES = [
  "model",
  "messages",
  "stream",
  "max_completion_tokens",
  "temperature",
  "top_p",
  "n",
  "stop",
  "seed",
  "presence_penalty",
  "frequency_penalty",
  "logit_bias",
  "logprobs",
  "response_format",
  "tools",
  "user",
] as const;
type Name = (typeof NAMES)[number];

/** What a request may say. */
export function Parameters() {
  const { t } = useTranslation("docs");
  const columns: Column<Name>[] = [
    { key: "name", header: t("parameters.name"), render: (name) => <code>{name}</code> },
    { key: "range", header: t("parameters.range"), render: (name) => t(`parameters.ranges.${name}`) },
    {
      key: "meaning",
      isText: true,
      header: t("parameters.meaning"),
      render: (name) => t(`parameters.meanings.${name}`),
    },
  ];
  return (
    <>
      <p>
        <Trans t={t} i18nKey="parameters.text" components={{ code: <code /> }} />
      </p>
      <PlainTable
        label={t("parts.parameters")}
        columns={columns}
        items={NAMES}
        idOf={(name) => name}
        empty={null}
      />
    </>
  );
}
