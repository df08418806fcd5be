import { Alert, Button, Group, Stack, Table, Text } from "@mantine/core";
import { IconUsers } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";

const FIELDS = ["name", "sign_up", "sign_up_credit_usd", "notice", "about", "contact"] as const;
type Fields = Pick<Shape<"SiteSettings">, (typeof FIELDS)[number]>;

/** Somebody else has saved since the form was opened: what is stored now, what is in the form, and a choice. */
export function SomebodyElse({
  theirs,
  mine,
  takeTheirs,
  keepMine,
}: {
  theirs: Fields;
  mine: Fields;
  takeTheirs: () => void;
  keepMine: () => void;
}) {
  const { t } = useTranslation("operator");
  const differing = FIELDS.filter((name) => written(theirs[name]) !== written(mine[name]));
  return (
    <Alert
      color="yellow"
      role="alert"
      icon={<IconUsers size={18} aria-hidden />}
      title={t("site.somebodyElse")}
    >
      <Stack gap="sm">
        <Text size="sm">{t(differing.length === 0 ? "site.sameAsTheirs" : "site.somebodyElseNote")}</Text>
        {differing.length > 0 && (
          <Table fz="sm" layout="fixed" verticalSpacing={6}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th w={130}>{t("site.field")}</Table.Th>
                <Table.Th>{t("site.stored")}</Table.Th>
                <Table.Th>{t("site.yours")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {differing.map((name) => (
                <Table.Tr key={name} style={{ verticalAlign: "top" }}>
                  <Table.Td>{t(`site.fields.${name}`)}</Table.Td>
                  <Table.Td style={{ overflowWrap: "anywhere", whiteSpace: "pre-line" }}>
                    {written(theirs[name]) || t("none")}
                  </Table.Td>
                  <Table.Td style={{ overflowWrap: "anywhere", whiteSpace: "pre-line" }}>
                    {written(mine[name]) || t("none")}
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
        <Group gap="xs">
          <Button size="sm" variant="default" onClick={takeTheirs}>
            {t("site.takeTheirs")}
          </Button>
          <Button size="sm" variant="default" onClick={keepMine}>
            {t("site.keepMine")}
          </Button>
        </Group>
      </Stack>
    </Alert>
  );
}

function written(value: string | { en?: string; zh?: string }): string {
  return typeof value === "string" ? value : [value.en, value.zh].filter(Boolean).join("\n");
}
