import { Anchor, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Trans, useTranslation } from "react-i18next";
import { Link } from "wouter";
import { siteQuery } from "../../api/queries";
import { AuthCard } from "./AuthCard";

/** A message is on its way, and where to look for it. */
export function MailSent({ title, message, below }: { title: string; message: string; below?: ReactNode }) {
  const { t } = useTranslation("account");
  const site = useQuery(siteQuery()).data;
  return (
    <AuthCard title={title} description={message} below={below}>
      <Stack gap="sm" role="status">
        {site?.has_outbox ? (
          <Text size="sm">
            <Trans
              t={t}
              i18nKey="mail.outbox"
              components={{ outbox: <Anchor component={Link} href="/outbox" inherit /> }}
            />
          </Text>
        ) : (
          <Text size="sm">{t("mail.spam")}</Text>
        )}
      </Stack>
    </AuthCard>
  );
}
