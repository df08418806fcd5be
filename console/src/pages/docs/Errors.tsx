import { Trans, useTranslation } from "react-i18next";
import { snippet } from "../../snippets";
import { CodeBlock } from "../../ui/CodeBlock";
import { type Column, PlainTable } from "../../ui/PagedTable";

// The codes of one line share what to do. The statuses are those of the edge's own table.
const ERRORS = [
  { status: 400, name: "invalid", codes: ["invalid_value", "missing_required_parameter", "invalid_json"] },
  {
    status: 401,
    name: "key",
    codes: ["missing_api_key", "invalid_api_key", "expired_api_key", "revoked_api_key"],
  },
  { status: 402, name: "balance", codes: ["insufficient_balance", "request_too_expensive"] },
  { status: 402, name: "spend", codes: ["spend_day_reached", "spend_month_reached", "spend_total_reached"] },
  { status: 403, name: "allowed", codes: ["model_not_allowed", "ip_not_allowed", "account_suspended"] },
  { status: 404, name: "model", codes: ["model_not_found", "unknown_url"] },
  { status: 413, name: "large", codes: ["request_too_large", "head_too_large"] },
  {
    status: 429,
    name: "rate",
    codes: ["requests_per_minute_exceeded", "tokens_per_minute_exceeded", "concurrent_requests_exceeded"],
  },
  { status: 429, name: "held", codes: ["balance_held", "spend_limit_held"] },
  {
    status: 502,
    name: "upstream",
    codes: ["upstream_error", "upstream_rejected", "upstream_invalid_response", "upstream_disconnected"],
  },
  { status: 503, name: "away", codes: ["no_channel_available", "service_unavailable", "overloaded"] },
  { status: 504, name: "slow", codes: ["upstream_timeout", "deadline_exceeded"] },
] as const;
type Line = (typeof ERRORS)[number];

/** What can go wrong, and what to do about it. */
export function Errors() {
  const { t } = useTranslation("docs");
  const columns: Column<Line>[] = [
    { key: "status", header: t("errors.status"), render: ({ status }) => status },
    {
      key: "code",
      isText: true,
      header: t("errors.code"),
      render: ({ codes }) => (
        <span style={{ display: "flex", flexDirection: "column", gap: 3, alignItems: "flex-start" }}>
          {codes.map((code) => (
            <code key={code}>{code}</code>
          ))}
        </span>
      ),
    },
    { key: "todo", isText: true, header: t("errors.todo"), render: ({ name }) => t(`errors.todos.${name}`) },
  ];
  return (
    <>
      <p>
        <Trans t={t} i18nKey="errors.text" components={{ code: <code /> }} />
      </p>
      <CodeBlock title={t("errors.example")} code={snippet("error", {})} />
      <PlainTable
        label={t("parts.errors")}
        columns={columns}
        items={ERRORS}
        idOf={({ name }) => name}
        empty={null}
      />
      <p>
        <Trans t={t} i18nKey="errors.retry" components={{ code: <code /> }} />
      </p>
    </>
  );
}
