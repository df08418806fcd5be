import { Skeleton, Stack } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorState } from "./ErrorState";

/** The answer of a query once it is there; before that a skeleton, and after a failure what went wrong. */
export function Loaded<T>({
  query,
  skeleton,
  children,
}: {
  query: UseQueryResult<T>;
  /** What stands there while it loads; some lines if nothing is given. */
  skeleton?: ReactNode;
  children: (data: T) => ReactNode;
}): ReactNode {
  if (query.data !== undefined) return children(query.data);
  if (query.isError) return <ErrorState error={query.error} retry={() => void query.refetch()} />;
  return <Loading>{skeleton ?? <Lines />}</Loading>;
}

/** Says to a screen reader that something loads; what is inside is only to look at. */
export function Loading({ children }: { children: ReactNode }) {
  const { t } = useTranslation("common");
  return (
    <div role="status" aria-label={t("state.loading")}>
      <div aria-hidden>{children}</div>
    </div>
  );
}

/** Grey lines of the height of text or rows. */
export function Lines({ count = 4, height = 18 }: { count?: number; height?: number }) {
  return (
    <Stack gap="sm">
      {Array.from({ length: count }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike
        <Skeleton key={index} height={height} width={`${[100, 92, 96, 70][index % 4]}%`} />
      ))}
    </Stack>
  );
}
