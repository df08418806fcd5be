import { ActionIcon, Skeleton, Stack, Table, Text, VisuallyHidden } from "@mantine/core";
import { IconChartLine, IconTable } from "@tabler/icons-react";
import { lazy, Suspense, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import classes from "./Chart.module.css";
import { Loading } from "./Loaded";
import { Scrolled } from "./Scrolled";

const Drawing = lazy(() => import("./ChartDrawing"));

export interface ChartSeries {
  /** The member of each point that holds the figure. */
  key: string;
  label: string;
  /** A colour of the theme such as `relay`, else one of the palette in turn. */
  color?: string;
}

export type ChartPoint = { x: number } & Record<string, number | null>;

export interface ChartProperties {
  kind: "area" | "line" | "bar";
  /** What the chart shows, for a screen reader and for the table. */
  label: string;
  points: readonly ChartPoint[];
  series: readonly ChartSeries[];
  /** How `x` is written below the axis and in the table. */
  formatX: (x: number) => string;
  formatY: (y: number) => string;
  /** Areas and bars stand on each other. */
  isStacked?: boolean;
  height?: number;
}

/**
 * A chart, whose drawing loads when it is needed, and the same figures as a table. Where nothing was measured there is a gap, not a
 * zero. It stands below the heading of a panel, at whose end it puts its button.
 */
export function Chart(properties: ChartProperties) {
  const { t } = useTranslation("common");
  const [isTable, setTable] = useState(false);
  const id = useId();
  const { label, height = 240, points, series } = properties;
  const hasData = points.some((point) =>
    series.some(({ key }) => point[key] !== null && point[key] !== undefined),
  );
  if (!hasData) {
    return (
      <Stack h={height} align="center" justify="center">
        <Text c="dimmed" size="sm">
          {t("noData")}
        </Text>
      </Stack>
    );
  }
  return (
    <figure className={classes.figure} aria-labelledby={id}>
      <figcaption className={classes.caption}>
        <VisuallyHidden id={id}>{label}</VisuallyHidden>
        <ActionIcon
          variant="subtle"
          color="gray"
          onClick={() => setTable(!isTable)}
          aria-label={t(isTable ? "chart.asChart" : "chart.asTable")}
          title={t(isTable ? "chart.asChart" : "chart.asTable")}
        >
          {isTable ? (
            <IconChartLine size={16} stroke={1.6} aria-hidden />
          ) : (
            <IconTable size={16} stroke={1.6} aria-hidden />
          )}
        </ActionIcon>
      </figcaption>
      {isTable ? (
        <Figures {...properties} />
      ) : (
        <div aria-hidden style={{ height }}>
          <Suspense fallback={<Loading>{<Skeleton height={height} />}</Loading>}>
            <Drawing {...properties} height={height} />
          </Suspense>
        </div>
      )}
    </figure>
  );
}

function Figures({ label, points, series, formatX, formatY, height = 240 }: ChartProperties) {
  const { t } = useTranslation("common");
  return (
    <Scrolled style={{ maxHeight: height, overflow: "auto" }} label={label}>
      <Table stickyHeader fz="sm">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("chart.time")}</Table.Th>
            {series.map((each) => (
              <Table.Th key={each.key} ta="end">
                {each.label}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {points.map((point) => (
            <Table.Tr key={point.x}>
              <Table.Td>{formatX(point.x)}</Table.Td>
              {series.map(({ key }) => {
                const value = point[key];
                return (
                  <Table.Td key={key} ta="end">
                    {value === null || value === undefined ? t("noData") : formatY(value)}
                  </Table.Td>
                );
              })}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Scrolled>
  );
}
