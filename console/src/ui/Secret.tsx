import { Alert, Stack } from "@mantine/core";
import { IconEyeOff } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { CodeBlock } from "./CodeBlock";

/** A secret that is shown this once. */
export function Secret({ value, title }: { value: string; title: string }) {
  const { t } = useTranslation("common");
  return (
    <Stack gap="sm">
      <Alert color="yellow" variant="light" icon={<IconEyeOff size={18} aria-hidden />}>
        {t("shownOnce")}
      </Alert>
      <CodeBlock code={value} title={title} isWrapped />
    </Stack>
  );
}
