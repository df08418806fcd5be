import { PasswordInput, type PasswordInputProps } from "@mantine/core";
import { useTranslation } from "react-i18next";

/** A field for a secret that can be shown while it is typed. A screen reader is told when it is wrong, which Mantine's own leaves out. */
export function PasswordField(properties: PasswordInputProps) {
  const { t } = useTranslation("common");
  return (
    <PasswordInput
      visibilityToggleButtonProps={{ "aria-label": t("showPassword") }}
      aria-invalid={properties.error ? true : undefined}
      {...properties}
    />
  );
}
