import { Group, Paper, SegmentedControl, SimpleGrid, Skeleton, Stack } from "@mantine/core";
import { IconChartBar } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { apiQuery } from "../../api/queries";
import { Empty } from "../../ui/Empty";
import { Loaded } from "../../ui/Loaded";
import { PageHeader } from "../../ui/PageHeader";
import { useFilters } from "../../ui/useFilters";
import { Breakdown } from "./dashboard/Breakdown";
import { Charts } from "./dashboard/Charts";
import { Figures } from "./dashboard/Figures";
import { FirstSteps } from "./dashboard/FirstSteps";

const SPANS = [1, 7, 30, 90] as const;
const DEFAULTS = { days: "7" };

/** What the account has, spends and does; for a new account how to begin. */
export default function Dashboard() {
  const { t } = useTranslation("user");
  const [filters, change] = useFilters(DEFAULTS);
  const days = SPANS.find((span) => String(span) === filters.days) ?? 7;
  const overview = useQuery({
    ...apiQuery("/api/overview", { query: { days } }),
    placeholderData: (before) => before,
    refetchInterval: 60_000,
  });
  return (
    <>
      <PageHeader
        title={t("dashboard.title")}
        description={t(`dashboard.against.${days}`)}
        actions={
          <SegmentedControl
            aria-label={t("dashboard.span")}
            value={String(days)}
            onChange={(chosen) => change({ days: chosen })}
            data={SPANS.map((span) => ({ value: String(span), label: t(`dashboard.days.${span}`) }))}
          />
        }
      />
      <Loaded query={overview} skeleton={<Bones />}>
        {(data) => (
          <Stack gap="lg" aria-busy={overview.isPlaceholderData}>
            {data.totals.requests + data.before.requests === 0 && <FirstSteps />}
            <Figures overview={data} />
            {data.totals.requests === 0 ? (
              <Paper withBorder radius="lg">
                <Empty Icon={IconChartBar} title={t("dashboard.nothingInSpan")}>
                  {t("dashboard.nothingText")}
                </Empty>
              </Paper>
            ) : (
              <>
                <Charts overview={data} />
                <SimpleGrid cols={{ base: 1, lg: 2 }} spacing="lg">
                  <Breakdown kind="model" slices={data.models} />
                  <Breakdown kind="key" slices={data.keys} />
                </SimpleGrid>
              </>
            )}
          </Stack>
        )}
      </Loaded>
    </>
  );
}

function Bones() {
  return (
    <Stack gap="lg">
      <SimpleGrid cols={{ base: 2, sm: 3, xl: 6 }}>
        {["a", "b", "c", "d", "e", "f"].map((each) => (
          <Skeleton key={each} height={104} radius="lg" />
        ))}
      </SimpleGrid>
      <Skeleton height={320} radius="lg" />
      <Group grow>
        <Skeleton height={240} radius="lg" />
        <Skeleton height={240} radius="lg" />
      </Group>
    </Stack>
  );
}
