import { Badge, Group, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import type { Shape } from "../../../api/queries";
import { CopyButton } from "../../../ui/CopyButton";
import { Count, Duration, Exactly, Moment, Usd } from "../../../ui/values";
import { useCause } from "../parts/cause";
import { Facts } from "../parts/Facts";
import { CallState } from "../parts/states";
import { Attempts } from "./Attempts";
import { Charge } from "./Charge";
import classes from "./Receipt.module.css";

/** Everything about one call: what happened, what was counted, and how that became the charge. `call` adds what the list knows. */
export function Receipt({ of, call }: { of: Shape<"ReceiptView">; call: Shape<"Call"> | undefined }) {
  const { t } = useTranslation("user");
  const cause = useCause();
  return (
    <Stack gap="xl">
      <header>
        <Group justify="space-between" align="flex-start" gap="4px 16px" className={classes.head}>
          <div style={{ minWidth: 0 }}>
            <Text fw={650} size="lg" style={{ overflowWrap: "anywhere" }}>
              {of.model}
            </Text>
            <Text size="sm" c="dimmed" component="div">
              <Moment seconds={of.created} isAbsolute />
            </Text>
          </div>
          <div className={classes.sum}>
            <Text fz={26} fw={650} lh={1.2}>
              <Usd value={of.charged_usd} />
            </Text>
            {of.charges.some((charge) => charge.is_estimated) && <Estimated />}
          </div>
        </Group>
        <Group gap={4} wrap="nowrap" mt={6}>
          <Text size="xs" c="dimmed" ff="monospace" style={{ overflowWrap: "anywhere" }}>
            {of.id}
          </Text>
          <CopyButton value={of.id} what={t("receipt.requestId")} />
        </Group>
        {call?.error && (
          <Text size="sm" mt="xs" className={classes.cause}>
            {cause(call.error)}
          </Text>
        )}
      </header>
      <Facts
        facts={[
          ...(call ? [[t("receipt.call"), <CallState key="state" state={call.state} />] as const] : []),
          [t("receipt.money"), <Money key="money" state={of.state} />],
          ...(call
            ? [
                [
                  t("receipt.key"),
                  <Link key="key" href={`/keys/${call.key_id}`} className={classes.link}>
                    {call.key_name}
                  </Link>,
                ] as const,
                [
                  t("usage.firstToken"),
                  <Duration key="first" milliseconds={call.first_output_ms} />,
                ] as const,
                [t("usage.took"), <Duration key="took" milliseconds={call.took_ms} />] as const,
              ]
            : []),
        ]}
      />
      {of.charges.length === 0 ? (
        <Part title={t("receipt.charge")}>
          <Text size="sm" c="dimmed">
            {t(of.state === "running" ? "receipt.notYet" : "receipt.nothing")}
          </Text>
        </Part>
      ) : (
        of.charges.map((charge) => (
          <Part
            key={`${charge.rule}${charge.is_late}`}
            title={t(charge.is_late ? "receipt.chargeLate" : "receipt.charge")}
          >
            <Charge of={charge} price={of.price} />
          </Part>
        ))
      )}
      <Part title={t("receipt.attempts")}>
        <Attempts attempts={of.attempts} />
      </Part>
      <Part title={t("receipt.hold")}>
        <Text size="sm" c="dimmed" mb={6}>
          {t("receipt.holdText")}
        </Text>
        <Facts
          facts={[
            [t("receipt.heldFirst"), <Usd key="first" value={of.hold.first_usd} />],
            [t("receipt.extensions"), <Count key="extensions" value={of.hold.extensions} />],
            [t("receipt.heldLast"), <Usd key="last" value={of.hold.last_usd} />],
            [
              t("receipt.bounds"),
              t("receipt.boundsOf", {
                input: of.hold.input_tokens_bound,
                output: of.hold.output_tokens_bound,
              }),
            ],
          ]}
        />
      </Part>
    </Stack>
  );
}

export function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <Text component="h3" size="md" fw={650} m={0} mb={6}>
        {title}
      </Text>
      {children}
    </section>
  );
}

/** Marks what nobody reported and was counted here. */
export function Estimated() {
  const { t } = useTranslation("user");
  return (
    <Exactly label={t("receipt.estimatedText")}>
      <Badge variant="light" color="yellow" tt="none" fw={600} miw="max-content">
        {t("receipt.estimated")}
      </Badge>
    </Exactly>
  );
}

const MONEY = ["running", "settled", "voided", "expired"] as const;

function Money({ state }: { state: string }) {
  const { t } = useTranslation("user");
  const known = MONEY.find((each) => each === state);
  return known ? t(`receipt.state.${known}`) : state;
}
