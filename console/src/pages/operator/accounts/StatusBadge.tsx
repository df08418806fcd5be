import { Badge } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";

export function StatusBadge({ status }: { status: Shape<"Account">["status"] }) {
  const { t } = useTranslation("operator");
  return (
    <Badge color={status === "active" ? "green" : "red"} variant="light" tt="none" miw="max-content">
      {t(`account.status.${status}`)}
    </Badge>
  );
}
