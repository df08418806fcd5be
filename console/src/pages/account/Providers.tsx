import { Alert, Button, Stack } from "@mantine/core";
import { IconBrandGithub, IconBrandGoogle, IconLogin2 } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "wouter";
import { api } from "../../api/client";
import { siteQuery } from "../../api/queries";
import { tellError } from "../../ui/useAction";
import { useNext } from "./session";

const ICONS: Record<string, typeof IconLogin2> = { google: IconBrandGoogle, github: IconBrandGithub };

/** Why somebody may come back from there without having signed in, each with a sentence of its own. */
const FAILURES = [
  "account_suspended",
  "email_not_confirmed",
  "invitation_needed",
  "invitation_not_valid",
  "oidc_cancelled",
  "oidc_email_unverified",
  "oidc_state_invalid",
  "sign_up_off",
] as const;

/** Somebody else's sign-in, as far as the site offers any. With an invitation it is a sign-up too, where that needs one. */
export function Providers({ invitation = null }: { invitation?: string | null }) {
  const { t } = useTranslation("account");
  const next = useNext();
  const [leavingTo, setLeavingTo] = useState<string | null>(null);
  const providers = useQuery(siteQuery()).data?.providers ?? [];
  if (providers.length === 0) return null;
  const leave = async (provider: string) => {
    setLeavingTo(provider);
    try {
      const { url } = await api.post("/api/oidc/{provider}/start", {
        path: { provider },
        body: { invitation, next },
      });
      window.location.assign(url);
    } catch (error) {
      tellError(error);
    }
    setLeavingTo(null);
  };
  return (
    <Stack gap="xs">
      {providers.map(({ id, name }) => {
        const Icon = ICONS[id] ?? IconLogin2;
        return (
          <Button
            key={id}
            variant="default"
            fullWidth
            loading={leavingTo === id}
            disabled={leavingTo !== null && leavingTo !== id}
            onClick={() => void leave(id)}
            leftSection={<Icon size={18} stroke={1.6} aria-hidden />}
          >
            {t("provider", { name })}
          </Button>
        );
      })}
    </Stack>
  );
}

/** Why the visitor is back from there, if it did not work. */
export function ProviderFailure() {
  const { t } = useTranslation("account");
  const [search] = useSearchParams();
  const code = search.get("error");
  if (!code) return null;
  const known = FAILURES.find((each) => each === code) ?? "other";
  return (
    <Alert color="red" variant="light" role="alert">
      {t(`providerFailed.${known}`)}
    </Alert>
  );
}
