import { Badge } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";

/** Whether a model can be called, and why not. */
export function PriceState({ model }: { model: Shape<"PricedModel"> }) {
  const { t } = useTranslation("operator");
  if (isRefused(model))
    return (
      <Badge variant="light" color="red" tt="none" miw="max-content">
        {t("prices.refused")}
      </Badge>
    );
  if (model.channels.length === 0)
    return (
      <Badge variant="light" color="gray" tt="none" miw="max-content">
        {t("prices.unoffered")}
      </Badge>
    );
  return (
    <Badge variant="light" color="green" tt="none" miw="max-content">
      {t("prices.callable")}
    </Badge>
  );
}

/** Offered by a channel and without a price: such requests are refused. */
export function isRefused(model: Shape<"PricedModel">): boolean {
  return model.price === null && model.channels.length > 0;
}
