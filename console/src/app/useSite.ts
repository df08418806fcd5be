import { useQuery } from "@tanstack/react-query";
import { siteQuery } from "../api/queries";

/** The site's name, "Relay" as long as it is not known. */
export function useSiteName(): string {
  return useQuery(siteQuery()).data?.name || "Relay";
}
