import { IconListSearch } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useLocation } from "wouter";
import { apiPages } from "../../../api/queries";
import { Empty } from "../../../ui/Empty";
import { PagedTable } from "../../../ui/PagedTable";
import { to } from "../parts/addresses";
import { useRequestColumns } from "../requests/columns";

/** The requests of one account. */
export function AccountRequests({ accountId }: { accountId: string }) {
  const { t } = useTranslation("operator");
  const [, go] = useLocation();
  const query = useInfiniteQuery(apiPages("/api/operator/requests", { query: { account_id: accountId } }));
  const columns = useRequestColumns().filter((column) => column.key !== "account");
  return (
    <PagedTable
      label={t("account.tab.requests")}
      query={query}
      columns={columns}
      idOf={(each) => each.id}
      onOpen={(each) => go(to.request(each.id))}
      empty={<Empty Icon={IconListSearch} title={t("requests.none")} />}
    />
  );
}
