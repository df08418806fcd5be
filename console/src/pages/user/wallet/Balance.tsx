import { Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Shape } from "../../../api/queries";
import { Count, Usd } from "../../../ui/values";
import { Facts } from "../parts/Facts";

/** What can be spent, what running requests hold, and what that means. */
export function Balance({ wallet }: { wallet: Shape<"Wallet"> }) {
  const { t } = useTranslation("user");
  return (
    <>
      <Text fz={34} fw={650} lh={1.2} mb="sm" style={{ letterSpacing: "-0.02em" }}>
        <Usd value={wallet.available_usd} />
      </Text>
      <Facts
        facts={[
          [t("wallet.posted"), <Usd key="posted" value={wallet.posted_usd} />],
          [t("wallet.held"), <Usd key="held" value={wallet.held_usd} />],
          [t("wallet.running"), <Count key="running" value={wallet.running} />],
          ...(Number(wallet.price_multiplier) === 1
            ? []
            : [[t("wallet.multiplier"), `× ${wallet.price_multiplier}`] as const]),
        ]}
      />
      <Text size="sm" c="dimmed" mt="sm">
        {t("wallet.heldText")}
      </Text>
    </>
  );
}
