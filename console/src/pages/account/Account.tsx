import { useTranslation } from "react-i18next";
import { PageHeader } from "../../ui/PageHeader";

export default function Account() {
  const { t } = useTranslation("common");
  return <PageHeader title={t("navigation.account")} />;
}
