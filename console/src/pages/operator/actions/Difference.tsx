import { Button, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import classes from "./Difference.module.css";
import { type Line, linesOf } from "./lines";

/** What was there before, and what was asked for, member by member. */
export function Difference({ before, after }: { before: unknown; after: unknown }) {
  const { t } = useTranslation("operator");
  const [isWhole, setWhole] = useState(false);
  const lines = linesOf(before, after);
  const changed = lines.filter((line) => line.isChanged);
  const shown = isWhole ? lines : changed;
  const rest = lines.length - changed.length;
  if (lines.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {t("actions.noDetail")}
      </Text>
    );
  }
  return (
    <Stack gap="sm">
      {shown.length > 0 && <Table lines={shown} />}
      {rest > 0 && (
        <Button
          variant="subtle"
          color="gray"
          size="compact-sm"
          aria-expanded={isWhole}
          onClick={() => setWhole(!isWhole)}
          style={{ alignSelf: "flex-start" }}
        >
          {t(isWhole ? "actions.hideRest" : "actions.showRest", { count: rest })}
        </Button>
      )}
    </Stack>
  );
}

function Table({ lines }: { lines: readonly Line[] }) {
  const { t } = useTranslation("operator");
  return (
    <table className={classes.table}>
      <thead>
        <tr>
          <th scope="col" style={{ width: "28%" }}>
            {t("actions.member")}
          </th>
          <th scope="col">{t("actions.before")}</th>
          <th scope="col">{t("actions.after")}</th>
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <tr key={line.name}>
            <th scope="row">{line.name}</th>
            <td
              className={`${classes.value} ${line.isChanged && line.before !== null ? classes.removed : ""}`}
            >
              {line.before ?? "–"}
            </td>
            <td className={`${classes.value} ${line.isChanged && line.after !== null ? classes.added : ""}`}>
              {line.after ?? (line.isChanged ? "–" : t("actions.asBefore"))}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
