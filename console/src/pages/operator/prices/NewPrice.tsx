import { Button, Group, Stack, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { useLocation } from "wouter";
import { PageHeader } from "../../../ui/PageHeader";
import { Section } from "../../../ui/Section";
import { to } from "../parts/addresses";
import { Back } from "../parts/Back";

/** Asks which model; the rest is on the model's own page. */
export function NewPrice() {
  const { t } = useTranslation(["operator", "common"]);
  const [, go] = useLocation();
  const [model, setModel] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (model.trim() !== "") go(to.model(model.trim()));
  };
  return (
    <>
      <Back href="/operator/prices" label={t("common:navigation.prices")} />
      <PageHeader title={t("prices.new")} description={t("prices.newNote")} />
      <Section title={t("prices.whichModel")}>
        <form onSubmit={submit}>
          <Stack gap="md" maw={520}>
            <TextInput
              label={t("prices.model")}
              description={t("prices.modelNote")}
              required
              maxLength={200}
              value={model}
              onChange={(event) => setModel(event.currentTarget.value)}
              autoComplete="off"
              spellCheck={false}
            />
            <Group>
              <Button type="submit" disabled={model.trim() === ""}>
                {t("prices.next")}
              </Button>
            </Group>
          </Stack>
        </form>
      </Section>
    </>
  );
}
