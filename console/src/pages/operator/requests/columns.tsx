import { Badge, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import type { Column } from "../../../ui/PagedTable";
import { Duration, Moment, NoData, Tokens, Usd } from "../../../ui/values";
import { Long } from "../parts/Long";
import { useWords } from "../parts/useWords";

export const CALL_STATES = ["running", "complete", "failed", "left"] as const;
const COLORS = { running: "blue", complete: "green", failed: "red", left: "yellow" } as const;

/** The columns of a list of requests. */
export function useRequestColumns(): Column<Shape<"AnyCall">>[] {
  const { t } = useTranslation("operator");
  return [
    {
      key: "created",
      header: t("requests.when"),
      render: (call) => <Moment seconds={call.created} isAbsolute />,
    },
    {
      key: "account",
      header: t("requests.account"),
      render: (call) => <Long width={165}>{call.account_name || call.account_id}</Long>,
    },
    { key: "model", header: t("requests.model"), render: (call) => <Long width={170}>{call.model}</Long> },
    {
      key: "channel",
      header: t("requests.channel"),
      render: (call) => (call.channel === "" ? <NoData /> : <Long width={140}>{call.channel}</Long>),
    },
    { key: "state", header: t("requests.state"), render: (call) => <CallState call={call} /> },
    {
      key: "tokens",
      header: t("requests.tokens"),
      isFigure: true,
      render: (call) => (
        <span style={{ whiteSpace: "nowrap" }}>
          <Tokens value={call.input_tokens} />
          {" / "}
          <Tokens value={call.output_tokens} />
        </span>
      ),
    },
    {
      key: "charged",
      header: t("requests.charged"),
      isFigure: true,
      render: (call) => <Usd value={call.charged_usd} />,
    },
    {
      key: "took",
      header: t("requests.took"),
      isFigure: true,
      render: (call) => <Duration milliseconds={call.took_ms} />,
    },
  ];
}

/** How a request is, and why it failed if it did. */
export function CallState({ call }: { call: Pick<Shape<"AnyCall">, "state" | "error"> }) {
  const { t } = useTranslation("operator");
  const words = useWords();
  return (
    <span style={{ display: "inline-flex", flexWrap: "wrap", alignItems: "center", gap: "2px 6px" }}>
      <Badge color={COLORS[call.state]} variant="light" tt="none" miw="max-content">
        {t(`requests.states.${call.state}`)}
      </Badge>
      {call.error && (
        <Text span size="xs" c="dimmed" title={call.error}>
          {words.error(call.error)}
        </Text>
      )}
    </span>
  );
}
