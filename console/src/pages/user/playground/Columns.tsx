import { ActionIcon, Group, Select } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Column } from "./conversation";
import classes from "./Playground.module.css";

/** Which models answer, side by side. */
export function Columns({
  columns,
  models,
  choose,
  remove,
}: {
  columns: readonly Column[];
  models: readonly string[];
  choose: (columnId: string, model: string) => void;
  remove: (columnId: string) => void;
}) {
  const { t } = useTranslation("user");
  return (
    <div className={classes.grid} data-columns={columns.length}>
      {columns.map((column, index) => (
        <Group key={column.id} gap={4} wrap="nowrap" miw={0}>
          <Select
            aria-label={
              columns.length === 1
                ? t("playground.model")
                : t("playground.modelNumber", { number: index + 1 })
            }
            value={column.model}
            onChange={(model) => model && choose(column.id, model)}
            // A model that is gone stays what was chosen until another is.
            data={models.includes(column.model) ? models : [column.model, ...models]}
            searchable
            allowDeselect={false}
            flex={1}
            miw={0}
            maw={columns.length === 1 ? 360 : undefined}
          />
          {columns.length > 1 && (
            <ActionIcon
              variant="subtle"
              color="gray"
              size="lg"
              aria-label={t("playground.remove", { model: column.model, number: index + 1 })}
              onClick={() => remove(column.id)}
            >
              <IconX size={16} aria-hidden />
            </ActionIcon>
          )}
        </Group>
      ))}
    </div>
  );
}
