import { Anchor, Group, Text } from "@mantine/core";
import { IconChartBar } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import type { Shape } from "../../../api/queries";
import { Empty } from "../../../ui/Empty";
import { type Column, PlainTable } from "../../../ui/PagedTable";
import { Count, Tokens, Usd } from "../../../ui/values";
import classes from "./Breakdown.module.css";

type Slice = Shape<"Slice">;

/** What each model or key did, the dearest first, with bars to compare. */
export function Breakdown({ kind, slices }: { kind: "model" | "key"; slices: readonly Slice[] }) {
  const { t } = useTranslation("user");
  const title = t(kind === "model" ? "dashboard.byModel" : "dashboard.byKey");
  const ordered = [...slices].sort(
    (a, b) => Number(b.charged_usd) - Number(a.charged_usd) || b.requests - a.requests,
  );
  const most = Math.max(...ordered.map((each) => Number(each.charged_usd)), 0);
  const columns: Column<Slice>[] = [
    {
      key: "name",
      header: t(kind === "model" ? "dashboard.model" : "dashboard.key"),
      render: (slice) => (
        <Anchor
          component={Link}
          href={`/usage?${new URLSearchParams({ [kind]: slice.id })}`}
          size="sm"
          fw={500}
          underline="hover"
          className={classes.name}
        >
          {slice.name || slice.id}
        </Anchor>
      ),
    },
    {
      key: "requests",
      header: t("dashboard.requests"),
      isFigure: true,
      render: (slice) => (
        <Group gap={6} justify="flex-end" wrap="nowrap" component="span">
          {slice.failed > 0 && (
            <Text span size="xs" c="red" className={classes.failed}>
              {t("dashboard.failedOf", { count: slice.failed })}
            </Text>
          )}
          <Count value={slice.requests} />
        </Group>
      ),
    },
    {
      key: "tokens",
      header: t("dashboard.tokens"),
      isFigure: true,
      render: (slice) => <Tokens value={slice.input_tokens + slice.output_tokens} />,
    },
    {
      key: "spend",
      header: t("dashboard.spend"),
      isFigure: true,
      render: (slice) => (
        <Bar share={most > 0 ? Number(slice.charged_usd) / most : 0} usd={slice.charged_usd} />
      ),
    },
  ];
  return (
    <section>
      <Text component="h2" size="md" fw={650} mb="xs">
        {title}
      </Text>
      <PlainTable
        label={title}
        columns={columns}
        items={ordered}
        idOf={(slice) => slice.id}
        empty={<Empty Icon={IconChartBar} title={t("dashboard.nothingInSpan")} />}
      />
    </section>
  );
}

function Bar({ share, usd }: { share: number; usd: string }) {
  return (
    <span className={classes.spend}>
      <Usd value={usd} />
      <span className={classes.track} aria-hidden>
        <span className={classes.bar} style={{ width: `${share * 100}%` }} />
      </span>
    </span>
  );
}
