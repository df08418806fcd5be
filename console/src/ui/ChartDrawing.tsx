import { Paper, Text } from "@mantine/core";
import { useReducedMotion } from "@mantine/hooks";
import {
  Area,
  Bar,
  CartesianGrid,
  ComposedChart,
  Legend,
  Line,
  ResponsiveContainer,
  Tooltip,
  type TooltipContentProps,
  XAxis,
  YAxis,
} from "recharts";
import type { ChartPoint, ChartProperties, ChartSeries } from "./Chart";

const PALETTE = ["relay.5", "blue.5", "yellow.5", "red.4", "green.5", "gray.5", "relay.8", "blue.8"] as const;

/** The drawing itself, in a chunk of its own with Recharts. */
export default function ChartDrawing({
  kind,
  points,
  series,
  formatX,
  formatY,
  isStacked = false,
  height,
}: ChartProperties) {
  const isStill = useReducedMotion();
  const tick = { fontSize: 11, fill: "var(--mantine-color-dimmed)" };
  const ticks = ticksOf(points, series, isStacked);
  return (
    <ResponsiveContainer width="100%" height={height ?? 240}>
      <ComposedChart
        data={[...points]}
        margin={{ top: 8, right: 8, bottom: 0, left: 0 }}
        accessibilityLayer={false}
      >
        <CartesianGrid vertical={false} stroke="var(--relay-line)" />
        <XAxis
          dataKey="x"
          tickFormatter={formatX}
          tick={tick}
          tickLine={false}
          axisLine={{ stroke: "var(--relay-line)" }}
          minTickGap={32}
        />
        <YAxis
          domain={[0, ticks.at(-1) ?? 1]}
          ticks={ticks}
          tickFormatter={formatY}
          tick={tick}
          tickLine={false}
          axisLine={false}
          width="auto"
        />
        <Tooltip
          isAnimationActive={false}
          cursor={
            kind === "bar" ? { fill: "var(--mantine-color-gray-light)" } : { stroke: "var(--relay-line)" }
          }
          content={(shown) => <Pointed shown={shown} formatX={formatX} formatY={formatY} />}
        />
        {series.length > 1 && (
          <Legend
            iconType={kind === "bar" ? "square" : "plainline"}
            iconSize={kind === "bar" ? 8 : 14}
            itemSorter={null}
            formatter={(label) => <span style={{ color: "var(--mantine-color-dimmed)" }}>{label}</span>}
            wrapperStyle={{ fontSize: 12 }}
          />
        )}
        {series.map((each, index) => drawn(kind, each, index, isStacked, !isStill))}
      </ComposedChart>
    </ResponsiveContainer>
  );
}

/** Round figures from zero to just above the highest point, four steps or a few more; whole ones where all points are. */
function ticksOf(
  points: readonly ChartPoint[],
  series: readonly ChartSeries[],
  isStacked: boolean,
): number[] {
  const figures = points.map((point) => series.map(({ key }) => point[key] ?? 0));
  const tops = figures.map((each) =>
    isStacked ? each.reduce((sum, figure) => sum + figure, 0) : Math.max(...each),
  );
  const top = Math.max(...tops);
  if (!(top > 0)) return [0, 1];
  const isWhole = figures.flat().every(Number.isInteger);
  const magnitude = 10 ** Math.floor(Math.log10(top / 4));
  const step = [1, 2, 2.5, 5, 10]
    .map((size) => size * magnitude)
    .find((size) => size * 4 >= top && (!isWhole || Number.isInteger(size)));
  if (step === undefined) return [0, 1, 2, 3, 4].map((index) => (index * top) / 4);
  return Array.from({ length: Math.ceil(top / step) + 1 }, (_, index) =>
    Number((index * step).toPrecision(12)),
  );
}

function drawn(
  kind: ChartProperties["kind"],
  each: ChartSeries,
  index: number,
  isStacked: boolean,
  moves: boolean,
) {
  const color = colorOf(each, index);
  const shared = { dataKey: each.key, name: each.label, isAnimationActive: moves, animationDuration: 300 };
  const stack = isStacked ? { stackId: "all" } : {};
  if (kind === "bar")
    return (
      <Bar key={each.key} {...shared} {...stack} fill={color} maxBarSize={28} radius={isStacked ? 0 : 3} />
    );
  if (kind === "line") {
    return <Line key={each.key} {...shared} type="monotone" stroke={color} strokeWidth={2} dot={false} />;
  }
  return (
    <Area
      key={each.key}
      {...shared}
      {...stack}
      type="monotone"
      stroke={color}
      strokeWidth={2}
      fill={color}
      fillOpacity={0.16}
    />
  );
}

function Pointed({
  shown,
  formatX,
  formatY,
}: {
  shown: Pick<TooltipContentProps, "active" | "payload" | "label">;
  formatX: (x: number) => string;
  formatY: (y: number) => string;
}) {
  if (!shown.active || shown.payload.length === 0) return null;
  return (
    <Paper withBorder shadow="sm" px="sm" py={6}>
      <Text size="xs" c="dimmed" mb={2}>
        {formatX(Number(shown.label))}
      </Text>
      {shown.payload.map((each) =>
        each.value === null || each.value === undefined ? null : (
          <div
            key={String(each.dataKey)}
            style={{ display: "flex", gap: 16, justifyContent: "space-between", fontSize: 12 }}
          >
            <span style={{ display: "inline-flex", gap: 6, alignItems: "center" }}>
              <span style={{ width: 8, height: 8, borderRadius: 2, background: each.color }} />
              {each.name}
            </span>
            <span className="figures">{formatY(Number(each.value))}</span>
          </div>
        ),
      )}
    </Paper>
  );
}

function colorOf(series: ChartSeries, index: number): string {
  const [name, shade] = (series.color ?? PALETTE[index % PALETTE.length] ?? "relay.5").split(".");
  return `var(--mantine-color-${name}-${shade ?? 5})`;
}
