import { Drawer } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { apiQuery } from "../../../api/queries";
import { Loaded } from "../../../ui/Loaded";
import { useLast } from "../parts/useLast";
import { Receipt } from "./Receipt";

/** The receipt of a call at the side of the list. One that still runs is read again until it has ended. */
export function ReceiptPanel({ requestId, close }: { requestId: string | undefined; close: () => void }) {
  const { t } = useTranslation(["user", "common"]);
  const shown = useLast(requestId) ?? "";
  const receipt = useQuery({
    ...apiQuery("/api/calls/{request_id}", { path: { request_id: shown } }),
    enabled: requestId !== undefined,
    refetchInterval: (query) => (query.state.data?.state === "running" ? 2000 : false),
  });
  const call = useQuery({
    ...apiQuery("/api/calls", { query: { request_id: shown } }),
    enabled: requestId !== undefined && receipt.isSuccess,
    refetchInterval: ({ state }) => (state.data?.items[0]?.state === "running" ? 2000 : false),
  });
  return (
    <Drawer
      opened={requestId !== undefined}
      onClose={close}
      position="right"
      size={600}
      title={t("receipt.title")}
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      <Loaded query={receipt}>{(data) => <Receipt of={data} call={call.data?.items[0]} />}</Loaded>
    </Drawer>
  );
}
