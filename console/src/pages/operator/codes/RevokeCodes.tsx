import { Button } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { useAction } from "../../../ui/useAction";
import { ConfirmByName } from "../parts/ConfirmByName";

/** Ends what nobody has claimed of a batch. */
export function RevokeCodes({ batch }: { batch: Shape<"CodeBatch"> }) {
  const { t } = useTranslation("operator");
  const [isAsking, setAsking] = useState(false);
  const revoke = useAction(
    (name: string) => api.post("/api/operator/codes/{batch}/revoke", { path: { batch: name } }),
    { refreshes: ["/api/operator/codes"], done: t("codes.revoked"), onDone: () => setAsking(false) },
  );
  return (
    <>
      <Button variant="default" c="red" size="sm" onClick={() => setAsking(true)}>
        {t("codes.revoke")}
      </Button>
      {isAsking && (
        <ConfirmByName
          isOpen
          onClose={() => setAsking(false)}
          title={t("codes.revokeTitle")}
          message={t("codes.revokeMessage", { count: batch.codes - batch.claimed })}
          name={batch.name}
          confirm={t("codes.revoke")}
          isBusy={revoke.isPending}
          onConfirm={() => revoke.mutate(batch.name)}
        />
      )}
    </>
  );
}
