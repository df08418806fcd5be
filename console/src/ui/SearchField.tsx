import { CloseButton, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

/** A search that tells `onChange` when the typing rests. */
export function SearchField({
  label,
  value,
  onChange,
  width = 260,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  width?: number | string;
}) {
  const { t } = useTranslation("common");
  const [typed, setTyped] = useState(value);
  const tell = useDebouncedCallback(onChange, 300);
  useEffect(() => setTyped(value), [value]);
  const type = (text: string) => {
    setTyped(text);
    tell(text.trim());
  };
  return (
    <TextInput
      type="search"
      aria-label={label}
      placeholder={label}
      value={typed}
      onChange={(event) => type(event.currentTarget.value)}
      leftSection={<IconSearch size={16} aria-hidden />}
      rightSection={typed && <CloseButton size="sm" aria-label={t("clear")} onClick={() => type("")} />}
      w={width}
      maw="100%"
    />
  );
}
