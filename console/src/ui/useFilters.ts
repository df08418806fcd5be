import { useCallback } from "react";
import { useSearchParams } from "wouter";

/**
 * Filters that live in the address, so that a view can be kept and sent: `const [filters, set] = useFilters({ model: "", state: "" })`.
 * A value that is the default is left out. Numbers and switches are texts here.
 */
export function useFilters<F extends Record<string, string>>(
  defaults: F,
): [F, (change: Partial<F>) => void, () => void] {
  const [search, setSearch] = useSearchParams();
  const filters = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [name, search.get(name) ?? value]),
  ) as F;
  const names = Object.keys(defaults);
  const change = useCallback(
    (wanted: Partial<F>) =>
      setSearch(
        (before) => {
          const after = new URLSearchParams(before);
          for (const [name, value] of Object.entries(wanted)) {
            if (value === undefined || value === defaults[name]) after.delete(name);
            else after.set(name, value as string);
          }
          return after;
        },
        { replace: true },
      ),
    [setSearch, defaults],
  );
  const clear = useCallback(
    () =>
      setSearch(
        (before) => {
          const after = new URLSearchParams(before);
          for (const name of names) after.delete(name);
          return after;
        },
        { replace: true },
      ),
    [setSearch, names],
  );
  return [filters, change, clear];
}
