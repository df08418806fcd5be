import { useLocalStorage } from "@mantine/hooks";
import { useTranslation } from "react-i18next";
import classes from "./CodeBlock.module.css";
import { CopyButton } from "./CopyButton";
import { Scrolled } from "./Scrolled";

/** Code to copy, with a title above it if there is one. `isWrapped` breaks long lines. */
export function CodeBlock({
  code,
  title,
  isWrapped = false,
}: {
  code: string;
  title?: string;
  isWrapped?: boolean;
}) {
  const { t } = useTranslation("common");
  return (
    <div className={classes.block}>
      {title === undefined ? (
        <div className={classes.corner}>
          <CopyButton value={code} />
        </div>
      ) : (
        <div className={classes.bar}>
          <span>{title}</span>
          <CopyButton value={code} what={title} />
        </div>
      )}
      <Code label={title ?? t("code")} isWrapped={isWrapped} isAlone={title === undefined}>
        {code}
      </Code>
    </div>
  );
}

/** The same in several languages. Which one was chosen is remembered for every such block. */
export function CodeTabs({ codes }: { codes: readonly { id: string; label: string; code: string }[] }) {
  const { t } = useTranslation("common");
  const [chosen, choose] = useLocalStorage({ key: "relay-code", defaultValue: "python" });
  const shown = codes.find((each) => each.id === chosen) ?? codes[0];
  if (!shown) return null;
  return (
    <div className={classes.block}>
      <div className={classes.bar}>
        <fieldset className={classes.tabs} aria-label={t("codeLanguage")}>
          {codes.map(({ id, label }) => (
            <button
              key={id}
              type="button"
              className={classes.tab}
              aria-pressed={id === shown.id}
              onClick={() => choose(id)}
            >
              {label}
            </button>
          ))}
        </fieldset>
        <CopyButton value={shown.code} what={shown.label} />
      </div>
      <Code label={shown.label}>{shown.code}</Code>
    </div>
  );
}

function Code({
  label,
  children,
  isWrapped = false,
  isAlone = false,
}: {
  label: string;
  children: string;
  isWrapped?: boolean;
  isAlone?: boolean;
}) {
  const look = [classes.code, isWrapped && classes.wrapped, isAlone && classes.alone]
    .filter(Boolean)
    .join(" ");
  return (
    <Scrolled className={look} label={label}>
      <pre>
        <code>{children}</code>
      </pre>
    </Scrolled>
  );
}
