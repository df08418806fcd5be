import { Button, Group, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { apiQuery, meQuery, siteQuery } from "../../api/queries";
import { useSiteName } from "../../app/useSite";
import { useOperatorText } from "../../i18n";
import { snippets } from "../../snippets";
import { CodeTabs } from "../../ui/CodeBlock";
import { CopyButton } from "../../ui/CopyButton";
import { useDocumentTitle } from "../../ui/PageHeader";
import classes from "./Landing.module.css";
import { ModelTable } from "./ModelTable";

export default function Landing() {
  const { t } = useTranslation("public");
  const textOf = useOperatorText();
  const name = useSiteName();
  const site = useQuery(siteQuery()).data;
  const models = useQuery(apiQuery("/api/models"));
  useDocumentTitle();
  const about = site ? textOf(site.about).trim() : "";
  const filling = { baseUrl: site?.base_url, model: models.data?.items[0]?.id };
  return (
    <>
      <section className={classes.hero}>
        <Stack gap="lg">
          <h1 className={classes.title}>{t("landing.title")}</h1>
          <Text className={classes.lede}>{t("landing.lede", { name })}</Text>
          <WaysIn />
          {site && (
            <div>
              <span className={classes.address}>
                <span className={classes.muted}>{t("landing.baseUrl")}</span>
                <code>{site.base_url}</code>
                <CopyButton value={site.base_url} what={t("landing.baseUrl")} />
              </span>
            </div>
          )}
        </Stack>
        <CodeTabs codes={snippets("call", filling)} />
      </section>

      <section className={classes.section} aria-labelledby="steps">
        <Title order={2} id="steps" mb="lg">
          {t("landing.stepsTitle")}
        </Title>
        <ol className={classes.steps}>
          {(["top", "key", "call"] as const).map((step) => (
            <li key={step} className={classes.step}>
              <h3>{t(`landing.steps.${step}.title`)}</h3>
              <p>{t(`landing.steps.${step}.text`)}</p>
            </li>
          ))}
        </ol>
      </section>

      <section className={classes.section} aria-labelledby="models">
        <ModelTable query={models} />
      </section>

      <section className={classes.section} aria-labelledby="promises">
        <Title order={2} id="promises" mb="lg">
          {t("landing.promisesTitle")}
        </Title>
        <ul className={classes.steps}>
          {(["exact", "honest", "open"] as const).map((promise) => (
            <li key={promise}>
              <Text fw={600} mb={4}>
                {t(`landing.promises.${promise}.title`)}
              </Text>
              <Text c="dimmed" size="sm">
                {t(`landing.promises.${promise}.text`)}
              </Text>
            </li>
          ))}
        </ul>
      </section>

      {about && (
        <section className={classes.section} aria-labelledby="about">
          <Title order={2} id="about" mb="sm">
            {t("landing.aboutTitle")}
          </Title>
          <p className={classes.about}>{about}</p>
        </section>
      )}
    </>
  );
}

function WaysIn() {
  const { t } = useTranslation("public");
  const site = useQuery(siteQuery()).data;
  const me = useQuery(meQuery()).data;
  const documentation = (
    <Button component={Link} href="/docs/start" size="md" variant="default">
      {t("landing.documentation")}
    </Button>
  );
  if (me) {
    return (
      <Group gap="sm">
        <Button component={Link} href="/dashboard" size="md">
          {t("landing.dashboard")}
        </Button>
        {documentation}
      </Group>
    );
  }
  const isOpen = site?.sign_up !== "off";
  return (
    <Stack gap="xs">
      <Group gap="sm">
        <Button component={Link} href={isOpen ? "/sign-up" : "/sign-in"} size="md">
          {t(isOpen ? "landing.start" : "landing.signIn")}
        </Button>
        {documentation}
      </Group>
      {site?.sign_up === "invitation" && (
        <Text size="sm" c="dimmed">
          {t("landing.byInvitation")}
        </Text>
      )}
    </Stack>
  );
}
