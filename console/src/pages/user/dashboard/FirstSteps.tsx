import { Button, Paper, Text, ThemeIcon, Title } from "@mantine/core";
import { IconCheck } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { apiQuery } from "../../../api/queries";
import classes from "./FirstSteps.module.css";

const ONE = { query: { limit: 1 } } as const;
const STEPS = [
  { name: "topUp", href: "/wallet" },
  { name: "key", href: "/keys?create=yes" },
  { name: "call", href: "/playground" },
] as const;

/** What a new account does first. It goes away once all of it is done. */
export function FirstSteps() {
  const { t } = useTranslation("user");
  const transfers = useQuery(apiQuery("/api/wallet/transfers", { query: { kind: "money", limit: 1 } }));
  const keys = useQuery(apiQuery("/api/keys", ONE));
  const calls = useQuery(apiQuery("/api/calls", ONE));
  if (!transfers.data || !keys.data || !calls.data) return null;
  const done = {
    topUp: transfers.data.items.length > 0,
    key: keys.data.items.length > 0,
    call: calls.data.items.length > 0,
  };
  if (done.call) return null;
  const next = STEPS.find(({ name }) => !done[name]);
  return (
    <Paper withBorder radius="lg" p={{ base: "md", sm: "xl" }} component="section" className={classes.steps}>
      <Title order={2}>{t("start.title")}</Title>
      <Text c="dimmed" mt={4}>
        {t("start.description")}
      </Text>
      <ol className={classes.list}>
        {STEPS.map(({ name, href }, index) => (
          <li key={name} className={classes.step} data-next={name === next?.name || undefined}>
            <ThemeIcon
              radius="xl"
              size={30}
              variant={done[name] ? "filled" : "light"}
              color={done[name] ? "green" : name === next?.name ? "relay" : "gray"}
            >
              {done[name] ? <IconCheck size={18} aria-hidden /> : <span aria-hidden>{index + 1}</span>}
            </ThemeIcon>
            <div className={classes.text}>
              <Text fw={600}>
                {t(`start.${name}.title`)}
                {done[name] && <span className={classes.spoken}>{t("start.done")}</span>}
              </Text>
              <Text size="sm" c="dimmed">
                {t(done[name] ? `start.${name}.done` : `start.${name}.text`)}
              </Text>
            </div>
            {!done[name] && (
              <Button
                component={Link}
                href={href}
                size="sm"
                variant={name === next?.name ? "filled" : "default"}
                className={classes.action}
              >
                {t(`start.${name}.action`)}
              </Button>
            )}
          </li>
        ))}
      </ol>
    </Paper>
  );
}
