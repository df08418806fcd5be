import { infiniteQueryOptions, QueryClient, queryOptions } from "@tanstack/react-query";
import {
  type Answer,
  ApiError,
  api,
  type OptionArguments,
  type PathOf,
  type QueryOf,
  surround,
} from "./client";
import type { components } from "./types";

/** The shapes of the API by name: `Shape<"Key">`. */
export type Shape<N extends keyof components["schemas"]> = components["schemas"][N];

/** Lists that come page by page. */
type PagedPath = {
  [P in PathOf<"get">]: Answer<P, "get"> extends { items: unknown[]; next_cursor: string | null } ? P : never;
}[PathOf<"get">];

/** One item of a list that comes page by page. */
export type ItemOf<P extends PagedPath> = Answer<P, "get"> extends { items: (infer Item)[] } ? Item : never;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      retry: (count, error) =>
        count < 2 && error instanceof ApiError && (error.status === 0 || error.status === 503),
    },
  },
});

surround({ signedOut: () => void queryClient.invalidateQueries({ queryKey: meQuery().queryKey }) });

/** What `useQuery` takes to show a path: `useQuery(apiQuery("/api/wallet"))`. */
export function apiQuery<P extends PathOf<"get">>(path: P, ...options: OptionArguments<P, "get">) {
  return queryOptions({
    queryKey: [path, ...options],
    queryFn: ({ signal }): Promise<Answer<P, "get">> =>
      api.get(path, ...([{ ...options[0], signal }] as unknown as OptionArguments<P, "get">)),
  });
}

/** What `useInfiniteQuery` takes to show a list that comes page by page; `DataList` draws it. */
export function apiPages<P extends PagedPath>(
  path: P,
  options: { query?: Omit<QueryOf<P, "get">, "cursor">; path?: Record<string, string> } = {},
) {
  return infiniteQueryOptions({
    queryKey: [path, "pages", options],
    queryFn: async ({ pageParam, signal }): Promise<{ items: ItemOf<P>[]; next_cursor: string | null }> => {
      const asked = { ...options, query: { ...options.query, cursor: pageParam ?? undefined }, signal };
      return (await api.get(path, ...([asked] as unknown as OptionArguments<P, "get">))) as unknown as {
        items: ItemOf<P>[];
        next_cursor: string | null;
      };
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
  });
}

/** What is read of these paths is asked again, whatever its parameters were. */
export function refresh(...paths: PathOf<"get">[]): Promise<unknown> {
  return Promise.all(paths.map((path) => queryClient.invalidateQueries({ queryKey: [path] })));
}

/** What the site is: its name, base URL and texts. It hardly ever changes. */
export function siteQuery() {
  return queryOptions({ ...apiQuery("/api/site"), staleTime: 5 * 60_000 });
}

/** Who has signed in, or null. */
export function meQuery() {
  return queryOptions({
    queryKey: ["/api/me"],
    queryFn: async ({ signal }): Promise<Shape<"Me"> | null> => {
      try {
        return await api.get("/api/me", { signal });
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) return null;
        throw error;
      }
    },
    staleTime: 60_000,
    // Several parts of a page ask this. Each that appears to show an error would ask again, take the error away, and so be gone itself.
    retryOnMount: false,
  });
}
