import { Button, Stack } from "@mantine/core";
import { IconBrandGithub, IconBrandGoogle, IconLogin2 } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { siteQuery } from "../../api/queries";
import { useNext } from "./session";

const ICONS: Record<string, typeof IconLogin2> = { google: IconBrandGoogle, github: IconBrandGithub };

/** Somebody else's sign-in, as far as the site offers any. */
export function Providers() {
  const { t } = useTranslation("account");
  const next = useNext();
  const providers = useQuery(siteQuery()).data?.providers ?? [];
  if (providers.length === 0) return null;
  return (
    <Stack gap="xs">
      {providers.map(({ id, name }) => {
        const Icon = ICONS[id] ?? IconLogin2;
        return (
          <Button
            key={id}
            component="a"
            href={`/api/oidc/${encodeURIComponent(id)}/start?next=${encodeURIComponent(next)}`}
            variant="default"
            fullWidth
            leftSection={<Icon size={18} stroke={1.6} aria-hidden />}
          >
            {t("provider", { name })}
          </Button>
        );
      })}
    </Stack>
  );
}
