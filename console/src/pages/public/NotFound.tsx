import { Button } from "@mantine/core";
import { IconMapQuestion } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { Empty } from "../../ui/Empty";
import { useDocumentTitle } from "../../ui/PageHeader";

export default function NotFound() {
  const { t } = useTranslation("public");
  useDocumentTitle(t("notFound.title"));
  return (
    <Empty
      isPage
      Icon={IconMapQuestion}
      title={t("notFound.title")}
      action={
        <Button component={Link} href="/" variant="default" mt="sm">
          {t("notFound.home")}
        </Button>
      }
    >
      {t("notFound.message")}
    </Empty>
  );
}
