import { CloseButton } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import classes from "./SearchField.module.css";

// Without the inputs of Mantine, since the first page has a search too and must stay small.
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
    <span className={classes.field} style={{ width }}>
      <IconSearch size={16} aria-hidden className={classes.icon} />
      <input
        type="search"
        className={classes.input}
        aria-label={label}
        placeholder={label}
        value={typed}
        onChange={(event) => type(event.currentTarget.value)}
      />
      {typed && (
        <CloseButton size="sm" aria-label={t("clear")} onClick={() => type("")} className={classes.clear} />
      )}
    </span>
  );
}
