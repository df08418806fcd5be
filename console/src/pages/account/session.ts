import { useCallback } from "react";
import { useLocation, useSearchParams } from "wouter";
import { meQuery, queryClient } from "../../api/queries";

/** Where a person goes once they have signed in: where they wanted to go, if that is a page of this console. */
export function useNext(): string {
  const [search] = useSearchParams();
  const next = search.get("next") ?? "";
  return isOwnPath(next) ? next : "/dashboard";
}

/** Reads who has signed in, and goes on. */
export function useGoOn(): (next: string) => Promise<void> {
  const [, go] = useLocation();
  return useCallback(
    async (next: string) => {
      await queryClient.fetchQuery({ ...meQuery(), staleTime: 0 });
      go(next, { replace: true });
    },
    [go],
  );
}

/** A value that a link carries behind its `#`, which no server and no log sees; behind `?` it is found as well. */
export function carried(name: string): string | null {
  const hash = new URLSearchParams(window.location.hash.slice(1));
  return hash.get(name) ?? new URLSearchParams(window.location.search).get(name);
}

function isOwnPath(path: string): boolean {
  return path.startsWith("/") && !path.startsWith("//") && !path.includes("\\");
}
