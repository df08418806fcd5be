import { Button, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { apiQuery, type Shape, siteQuery } from "../../../api/queries";
import { snippets } from "../../../snippets";
import { CodeTabs } from "../../../ui/CodeBlock";
import { Secret } from "../../../ui/Secret";

/** A key that was just made: the whole of it, this once, and code that calls with it. */
export function NewKey({ made, close }: { made: Shape<"MadeKey">; close: () => void }) {
  const { t } = useTranslation("user");
  const site = useQuery(siteQuery()).data;
  const models = useQuery(apiQuery("/api/models")).data;
  const model = made.key.allowed_models[0] ?? models?.items[0]?.id;
  return (
    <Stack gap="lg">
      <Secret value={made.secret} title={t("keys.yourKey", { name: made.key.name })} />
      <div>
        <Text fw={600} size="sm" mb={6}>
          {t("keys.tryIt")}
        </Text>
        <CodeTabs codes={snippets("call", { baseUrl: site?.base_url, key: made.secret, model })} />
        {!model && (
          <Text size="sm" c="dimmed" mt={6}>
            {t("keys.noModelYet")}
          </Text>
        )}
      </div>
      <Group justify="space-between">
        <Button component={Link} href="/docs/start" variant="subtle">
          {t("keys.readDocumentation")}
        </Button>
        <Button onClick={close}>{t("keys.saved")}</Button>
      </Group>
    </Stack>
  );
}
