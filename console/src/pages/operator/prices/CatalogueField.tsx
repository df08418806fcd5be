import { Button, Group, Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { apiQuery, type Shape } from "../../../api/queries";
import { formatUsd } from "../../../format";
import { useLanguage } from "../../../i18n";

/** Finds a model in the shipped catalogue, and fills the form in with what it knows. */
export function CatalogueField({
  model,
  onChoose,
}: {
  model: string;
  onChoose: (entry: Shape<"CatalogueEntry">) => void;
}) {
  const { t } = useTranslation("operator");
  const { locale } = useLanguage();
  const [search, setSearch] = useState(model);
  const [entry, setEntry] = useState<Shape<"CatalogueEntry"> | null>(null);
  const write = ({ model, figures }: Shape<"CatalogueEntry">) =>
    t("prices.catalogueEntry", {
      model,
      input: formatUsd(figures[0]?.input ?? "0", locale),
      output: formatUsd(figures[0]?.output ?? "0", locale),
    });
  // What was chosen stands in the field with its prices, and so is nothing to search for.
  const asked = entry !== null && search === write(entry) ? entry.model : search.trim();
  const [wanted] = useDebouncedValue(asked, 250);
  const query = useQuery({
    ...apiQuery("/api/operator/catalogue", { query: { search: wanted } }),
    placeholderData: (before) => before,
  });
  const found = query.data?.items ?? [];
  const entries =
    entry === null || found.some(({ model }) => model === entry.model) ? found : [entry, ...found];
  return (
    <Group gap="xs" align="flex-end">
      <Select
        label={t("prices.catalogue")}
        description={t("prices.catalogueNote")}
        searchable
        searchValue={search}
        onSearchChange={setSearch}
        filter={({ options }) => options}
        data={entries.map((each) => ({ value: each.model, label: write(each) }))}
        value={entry?.model ?? null}
        onChange={(chosen) => setEntry(entries.find(({ model }) => model === chosen) ?? null)}
        nothingFoundMessage={query.isFetching ? t("prices.catalogueSearching") : t("prices.catalogueNothing")}
        error={query.isError ? query.error.message : undefined}
        clearable
        flex="1 1 280px"
        maw={560}
      />
      <Button variant="default" disabled={entry === null} onClick={() => entry && onChoose(entry)}>
        {t("prices.fillIn")}
      </Button>
    </Group>
  );
}
