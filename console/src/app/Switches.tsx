import { ActionIcon, Button, Group } from "@mantine/core";
import { IconDeviceDesktop, IconMoon, IconSun } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { chooseLanguage, useLanguage } from "../i18n";
import { useScheme } from "../theme/scheme";

const ICONS = { auto: IconDeviceDesktop, light: IconSun, dark: IconMoon };

/** Language and colours, one click each. */
export function Switches() {
  const { t } = useTranslation("common");
  const { language } = useLanguage();
  const { scheme, choose, next } = useScheme();
  const Icon = ICONS[scheme];
  const other = language === "zh" ? "en" : "zh";
  const label = t("scheme.switch", { now: t(`scheme.${scheme}`), next: t(`scheme.${next}`) });
  return (
    <Group gap={4} wrap="nowrap">
      <Button
        variant="subtle"
        color="gray"
        size="compact-sm"
        lang={other === "zh" ? "zh-CN" : "en"}
        onClick={() => void chooseLanguage(other)}
      >
        {t(`language.${other}`)}
      </Button>
      <ActionIcon variant="subtle" color="gray" aria-label={label} title={label} onClick={() => choose(next)}>
        <Icon size={18} stroke={1.6} aria-hidden />
      </ActionIcon>
    </Group>
  );
}
