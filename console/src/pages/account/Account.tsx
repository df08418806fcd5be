import { SegmentedControl, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../api/client";
import { meQuery, queryClient, type Shape } from "../../api/queries";
import { formatDay } from "../../format";
import { chooseLanguage, LANGUAGES, type Language, useLanguage } from "../../i18n";
import { SCHEMES, type Scheme, useScheme } from "../../theme/scheme";
import { PageHeader } from "../../ui/PageHeader";
import { Section } from "../../ui/Section";
import { useAction } from "../../ui/useAction";
import { ManagementKeys } from "./ManagementKeys";
import { Passkeys } from "./Passkeys";
import { Password } from "./Password";
import { Sessions } from "./Sessions";
import { Totp } from "./Totp";

export default function Account() {
  const { t } = useTranslation("account");
  const { locale } = useLanguage();
  const me = useQuery(meQuery()).data;
  if (!me) return null;
  return (
    <Stack maw={860} gap="md">
      <PageHeader
        title={t("account.title")}
        description={t("account.since", { email: me.email, day: formatDay(me.created, locale) })}
      />
      <Looks me={me} />
      <Password me={me} />
      <Totp me={me} />
      <Passkeys />
      <Sessions />
      <ManagementKeys />
    </Stack>
  );
}

function Looks({ me }: { me: Shape<"Me"> }) {
  const { t } = useTranslation(["account", "common"]);
  const { scheme, choose } = useScheme();
  const speak = useAction((language: Language) => api.patch("/api/me", { body: { language } }), {
    onDone: (answer) => queryClient.setQueryData(meQuery().queryKey, answer),
  });
  return (
    <Section title={t("looks.title")} description={t("looks.description")}>
      <Stack gap="sm">
        <Row label={t("looks.language")}>
          <SegmentedControl
            aria-label={t("looks.language")}
            value={me.language}
            onChange={(chosen) => {
              const language = chosen as Language;
              void chooseLanguage(language);
              speak.mutate(language);
            }}
            data={LANGUAGES.map((language) => ({ value: language, label: t(`common:language.${language}`) }))}
          />
        </Row>
        <Row label={t("looks.scheme")}>
          <SegmentedControl
            aria-label={t("looks.scheme")}
            value={scheme}
            onChange={(chosen) => choose(chosen as Scheme)}
            data={SCHEMES.map((each) => ({ value: each, label: t(`common:scheme.${each}`) }))}
          />
        </Row>
      </Stack>
    </Section>
  );
}

function Row({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div style={{ display: "flex", flexWrap: "wrap", alignItems: "center", gap: "8px 16px" }}>
      <Text size="sm" w={{ base: 64, sm: 140 }} aria-hidden>
        {label}
      </Text>
      {children}
    </div>
  );
}
