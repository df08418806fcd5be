import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { apiQuery } from "../../../api/queries";
import { Loaded } from "../../../ui/Loaded";
import { PageHeader } from "../../../ui/PageHeader";
import { Elsewhere } from "./Elsewhere";
import { SettingsForm } from "./SettingsForm";

export default function Site() {
  const { t } = useTranslation(["operator", "common"]);
  // What is being written is not to change under the hand: it is read once, and again when it was saved.
  const query = useQuery({
    ...apiQuery("/api/operator/settings"),
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
  return (
    <>
      <PageHeader title={t("common:navigation.site")} description={t("site.description")} />
      <Loaded query={query}>
        {(settings) => <SettingsForm key={settings.version} settings={settings} />}
      </Loaded>
      <Elsewhere />
    </>
  );
}
