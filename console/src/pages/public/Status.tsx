import "../../theme/full";
import { Group, Paper, SegmentedControl, Stack, Tooltip } from "@mantine/core";
import { IconActivityHeartbeat, IconSearchOff } from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { apiQuery, type Shape } from "../../api/queries";
import { formatMoment, formatNumber } from "../../format";
import { useLanguage } from "../../i18n";
import { Empty } from "../../ui/Empty";
import { Lines, Loaded } from "../../ui/Loaded";
import { PageHeader } from "../../ui/PageHeader";
import { SearchField } from "../../ui/SearchField";
import { useFilters } from "../../ui/useFilters";
import { Count, Duration, Share } from "../../ui/values";
import classes from "./Status.module.css";

type Bucket = Shape<"StatusBucket">;
type State = "none" | "good" | "poor" | "bad";

const PERIODS = ["1", "24", "168"] as const;
const STATES: readonly State[] = ["good", "poor", "bad", "none"];
const DEFAULTS = { hours: "24", model: "" };

/** How every model does, from real traffic. */
export default function Status() {
  const { t } = useTranslation("public");
  const [filters, change] = useFilters(DEFAULTS);
  const hours = PERIODS.find((each) => each === filters.hours) ?? "24";
  const query = useQuery({
    ...apiQuery("/api/status", { query: { hours: Number(hours) as 1 | 24 | 168 } }),
    placeholderData: keepPreviousData,
    refetchInterval: 60_000,
  });
  return (
    <>
      <PageHeader
        title={t("status.title")}
        description={t("status.description")}
        actions={
          <SegmentedControl
            aria-label={t("status.period")}
            value={hours}
            onChange={(chosen) => change({ hours: chosen })}
            data={PERIODS.map((each) => ({ value: each, label: t(`status.hours.${each}`) }))}
          />
        }
      />
      <Group justify="space-between" mb="md">
        <SearchField
          label={t("models.search")}
          value={filters.model}
          onChange={(model) => change({ model })}
        />
        <div className={classes.legend}>
          {STATES.map((state) => (
            <span key={state}>
              <i className={`${classes.bucket} ${classes.swatch}`} data-state={state} aria-hidden />
              {t(`status.state.${state}`)}
            </span>
          ))}
        </div>
      </Group>
      <Loaded query={query} skeleton={<Lines count={8} height={52} />}>
        {(status) => <Models status={status} search={filters.model} />}
      </Loaded>
    </>
  );
}

function Models({ status, search }: { status: Shape<"Status">; search: string }) {
  const { t } = useTranslation("public");
  const items = status.items.filter(({ model }) => model.toLowerCase().includes(search.toLowerCase()));
  if (items.length === 0) {
    return (
      <Paper withBorder radius="lg">
        {status.items.length === 0 ? (
          <Empty Icon={IconActivityHeartbeat} title={t("status.emptyTitle")}>
            {t("status.empty")}
          </Empty>
        ) : (
          <Empty Icon={IconSearchOff} title={t("models.nothingTitle")} />
        )}
      </Paper>
    );
  }
  return (
    <Paper withBorder radius="lg" component="ul" m={0} p={0} style={{ listStyle: "none" }}>
      {items.map((model) => (
        <Model key={model.model} model={model} bucketSeconds={status.bucket_seconds} />
      ))}
    </Paper>
  );
}

function Model({ model, bucketSeconds }: { model: Shape<"ModelStatus">; bucketSeconds: number }) {
  const { t } = useTranslation("public");
  const { locale } = useLanguage();
  const first = model.buckets[0];
  const bad = model.buckets.filter((bucket) => stateOf(bucket) === "bad").length;
  const poor = model.buckets.filter((bucket) => stateOf(bucket) === "poor").length;
  return (
    <li className={classes.model}>
      <div className={classes.head}>
        <h2 className={classes.name}>{model.model}</h2>
        <dl className={classes.figures}>
          <div>
            <dt>{t("status.success")}</dt>
            <dd>
              <Share value={model.success} />
            </dd>
          </div>
          <div>
            <dt>{t("status.first")}</dt>
            <dd>
              <Tooltip
                label={t("status.p95")}
                disabled={model.first_output_p95_ms === null}
                events={{ hover: true, focus: true, touch: true }}
              >
                <span>
                  <Duration milliseconds={model.first_output_ms} />
                  {model.first_output_p95_ms !== null && (
                    <>
                      {" / "}
                      <Duration milliseconds={model.first_output_p95_ms} />
                    </>
                  )}
                </span>
              </Tooltip>
            </dd>
          </div>
          <div>
            <dt>{t("status.speed")}</dt>
            <dd>
              <Count value={model.tokens_per_second} fractionDigits={1} />
            </dd>
          </div>
          <div>
            <dt>{t("status.requests")}</dt>
            <dd>
              <Count value={model.requests} />
            </dd>
          </div>
        </dl>
      </div>
      <div
        className={classes.strip}
        role="img"
        aria-label={t("status.strip", { bad, poor, all: model.buckets.length })}
      >
        {model.buckets.map((bucket) => (
          <Tooltip key={bucket.began} label={<Told bucket={bucket} seconds={bucketSeconds} />} openDelay={80}>
            <span className={classes.bucket} data-state={stateOf(bucket)} />
          </Tooltip>
        ))}
      </div>
      {first && (
        <div className={classes.ends}>
          <span>{formatMoment(first.began, locale)}</span>
          <span>{t("status.now")}</span>
        </div>
      )}
    </li>
  );
}

function Told({ bucket, seconds }: { bucket: Bucket; seconds: number }) {
  const { t } = useTranslation("public");
  const { locale } = useLanguage();
  return (
    <Stack gap={0}>
      <span>
        {t("status.span", {
          began: formatMoment(bucket.began, locale),
          end: formatMoment(bucket.began + seconds, locale),
        })}
      </span>
      <span>
        {bucket.requests === 0
          ? t("status.state.none")
          : t("status.bucket", {
              requests: formatNumber(bucket.requests, locale),
              failed: formatNumber(bucket.failed, locale),
            })}
      </span>
    </Stack>
  );
}

/** Up to one in a hundred may fail and it is still good; from one in ten on it is bad. */
function stateOf({ requests, failed }: Bucket): State {
  if (requests === 0) return "none";
  const share = failed / requests;
  if (share <= 0.01) return "good";
  return share < 0.1 ? "poor" : "bad";
}
