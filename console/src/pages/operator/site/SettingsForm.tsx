import { Alert, Button, Group, Radio, SimpleGrid, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconSpeakerphone } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError, api } from "../../../api/client";
import { queryClient, refresh, type Shape } from "../../../api/queries";
import { LANGUAGES } from "../../../i18n";
import { Section } from "../../../ui/Section";
import { FormProblem, useFields } from "../../../ui/useFields";
import { nanoOf } from "../parts/amounts";
import { SomebodyElse } from "./SomebodyElse";

type Settings = Shape<"SiteSettings">;
const MODES = ["open", "invitation", "off"] as const;
const TEXT_CHARACTERS_MAX = 5000;

interface Values extends Record<string, unknown> {
  version: number;
  name: string;
  sign_up: Settings["sign_up"];
  sign_up_credit_usd: string;
  notice: { en: string; zh: string };
  about: { en: string; zh: string };
  contact: string;
}

function valuesOf(settings: Settings): Values {
  return {
    ...settings,
    notice: { en: settings.notice.en ?? "", zh: settings.notice.zh ?? "" },
    about: { en: settings.about.en ?? "", zh: settings.about.zh ?? "" },
  };
}

/** What can be changed while the site runs. What somebody else has stored meanwhile is shown, never overwritten unseen. */
export function SettingsForm({ settings }: { settings: Settings }) {
  const { t } = useTranslation("operator");
  const [theirs, setTheirs] = useState<Settings | null>(null);
  const { form, problem, isBusy, submit } = useFields<Values, Settings>({
    initialValues: valuesOf(settings),
    validate: {
      name: (name) => (name.trim() === "" ? t("site.nameMissing") : null),
      sign_up_credit_usd: (text) => ((nanoOf(text) ?? -1n) >= 0n ? null : t("credit.amountWrong")),
    },
    run: async (values) => {
      try {
        const saved = await api.put("/api/operator/settings", {
          body: { ...values, name: values.name.trim(), sign_up_credit_usd: values.sign_up_credit_usd.trim() },
        });
        setTheirs(null);
        return saved;
      } catch (error) {
        if (error instanceof ApiError && error.code === "site_changed")
          setTheirs(await api.get("/api/operator/settings"));
        throw error;
      }
    },
    onDone: (saved) => {
      notifications.show({ color: "green", message: t("site.saved") });
      void refresh("/api/site");
      queryClient.setQueryData(["/api/operator/settings"], saved);
    },
  });
  return (
    <form onSubmit={submit} noValidate aria-label={t("site.form")}>
      <Stack gap="md" maw={820}>
        {theirs && (
          <SomebodyElse
            theirs={theirs}
            mine={form.values}
            takeTheirs={() => queryClient.setQueryData(["/api/operator/settings"], theirs)}
            keepMine={() => {
              form.setInitialValues(valuesOf(theirs));
              form.setFieldValue("version", theirs.version);
              setTheirs(null);
            }}
          />
        )}
        <Section title={t("site.general")}>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <TextInput
              label={t("site.name")}
              description={t("site.nameNote")}
              required
              maxLength={100}
              {...form.getInputProps("name")}
            />
            <TextInput
              label={t("site.contact")}
              description={t("site.contactNote")}
              maxLength={254}
              {...form.getInputProps("contact")}
            />
          </SimpleGrid>
        </Section>
        <Section title={t("site.signUp")}>
          <Radio.Group aria-label={t("site.signUp")} {...form.getInputProps("sign_up")}>
            <Stack gap="sm">
              {MODES.map((mode) => (
                <Radio
                  key={mode}
                  value={mode}
                  label={t(`site.mode.${mode}`)}
                  description={t(`site.modeNote.${mode}`)}
                />
              ))}
            </Stack>
          </Radio.Group>
          <TextInput
            label={t("site.credit")}
            description={t("site.creditNote")}
            inputMode="decimal"
            leftSection={USD_SIGN}
            w={320}
            maw="100%"
            {...form.getInputProps("sign_up_credit_usd")}
          />
        </Section>
        <Texts form={form} name="notice" />
        <Texts form={form} name="about" />
        <FormProblem problem={problem?.code === "site_changed" ? null : problem} />
        <Group gap="xs">
          <Button type="submit" loading={isBusy} disabled={!form.isDirty()}>
            {t("save")}
          </Button>
          {form.isDirty() && (
            <Button variant="default" onClick={() => form.reset()}>
              {t("site.discard")}
            </Button>
          )}
        </Group>
      </Stack>
    </form>
  );
}

function Texts({
  form,
  name,
}: {
  form: ReturnType<typeof useFields<Values, Settings>>["form"];
  name: "notice" | "about";
}) {
  const { t } = useTranslation("operator");
  const [isShown, setShown] = useState(false);
  return (
    <Section
      title={t(`site.${name}`)}
      description={t(`site.${name}Note`)}
      actions={
        <Button variant="default" size="sm" aria-pressed={isShown} onClick={() => setShown(!isShown)}>
          {t(isShown ? "site.hidePreview" : "site.showPreview")}
        </Button>
      }
    >
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        {LANGUAGES.map((language) => (
          <Stack key={language} gap="xs">
            <Textarea
              label={t(`site.in.${language}`)}
              aria-label={t(`site.${name}In.${language}`)}
              lang={language === "zh" ? "zh-CN" : "en"}
              autosize
              minRows={3}
              maxRows={12}
              maxLength={TEXT_CHARACTERS_MAX}
              {...form.getInputProps(`${name}.${language}`)}
            />
            {isShown && <Preview kind={name} text={form.values[name][language]} language={language} />}
          </Stack>
        ))}
      </SimpleGrid>
    </Section>
  );
}

/** As visitors see it: plain text with its line breaks. */
function Preview({
  kind,
  text,
  language,
}: {
  kind: "notice" | "about";
  text: string;
  language: "en" | "zh";
}) {
  const { t } = useTranslation("operator");
  const body = (
    <Text size="sm" style={{ whiteSpace: "pre-line", overflowWrap: "anywhere" }} lang={language}>
      {text}
    </Text>
  );
  if (text.trim() === "") {
    return (
      <Text size="xs" c="dimmed">
        {t("site.previewEmpty")}
      </Text>
    );
  }
  return (
    <section aria-label={t("site.preview")}>
      {kind === "notice" ? (
        <Alert color="relay" variant="light" icon={<IconSpeakerphone size={18} aria-hidden />}>
          {body}
        </Alert>
      ) : (
        body
      )}
    </section>
  );
}

const USD_SIGN = "$";
