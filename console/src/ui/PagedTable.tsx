import { Button, Skeleton, VisuallyHidden } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import type { InfiniteData, UseInfiniteQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorState } from "./ErrorState";
import { Loading } from "./Loaded";
import classes from "./PagedTable.module.css";
import { Scrolled } from "./Scrolled";

export interface Column<T> {
  /** Distinguishes the columns of a table. */
  key: string;
  header: string;
  render: (item: T) => ReactNode;
  /** Figures stand at the end. */
  isFigure?: boolean;
  /** Sentences: on a phone they stand below their header, not beside it. */
  isText?: boolean;
  /** The header is read out, not shown: for a column of buttons. On a phone they stand beside the heading of the card. */
  isUnnamed?: boolean;
  /** On a phone the first column is the heading of a card; this leaves a column out of the cards. */
  isWideOnly?: boolean;
}

interface TableProperties<T> {
  /** What the table lists, for a screen reader. */
  label: string;
  columns: readonly Column<T>[];
  idOf: (item: T) => string | number;
  /** A click on a line, or Enter on its first cell, opens it. */
  onOpen?: (item: T) => void;
}

/** A list that comes page by page: `useInfiniteQuery(apiPages(…))`. All of its states are drawn here. */
export function PagedTable<T>({
  query,
  empty,
  ...table
}: TableProperties<T> & {
  query: UseInfiniteQueryResult<InfiniteData<{ items: T[] }>>;
  /** Stands there when nothing was found: an `Empty`. */
  empty: ReactNode;
}) {
  const { t } = useTranslation("common");
  if (query.data === undefined) {
    if (query.isError) return <ErrorState error={query.error} retry={() => void query.refetch()} />;
    return <SkeletonRows columns={table.columns.length} />;
  }
  const items = query.data.pages.flatMap((page) => page.items);
  if (items.length === 0) return <div className={classes.frame}>{empty}</div>;
  return (
    <div className={classes.frame} aria-busy={query.isFetching}>
      <Rows {...table} items={items} />
      {query.isFetchNextPageError && (
        <div className={classes.foot}>
          <ErrorState error={query.error} retry={() => void query.fetchNextPage()} />
        </div>
      )}
      {query.hasNextPage && !query.isFetchNextPageError && (
        <div className={classes.foot}>
          <span>{t("list.shown", { count: items.length })}</span>
          <Button
            size="compact-sm"
            variant="default"
            loading={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            {t("list.more")}
          </Button>
        </div>
      )}
    </div>
  );
}

/** A list that is there whole. */
export function PlainTable<T>({
  items,
  empty,
  ...table
}: TableProperties<T> & { items: readonly T[]; empty: ReactNode }) {
  return (
    <div className={classes.frame}>{items.length === 0 ? empty : <Rows {...table} items={items} />}</div>
  );
}

function Rows<T>({ items, ...table }: TableProperties<T> & { items: readonly T[] }) {
  const isNarrow = useMediaQuery("(max-width: 48em)", window.innerWidth <= 768, {
    getInitialValueInEffect: false,
  });
  return isNarrow ? <Cards {...table} items={items} /> : <Lines {...table} items={items} />;
}

function Lines<T>({ label, columns, idOf, onOpen, items }: TableProperties<T> & { items: readonly T[] }) {
  return (
    <Scrolled className={classes.scroll} label={label}>
      <table className={classes.table}>
        <caption>
          <VisuallyHidden>{label}</VisuallyHidden>
        </caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.key}
                scope="col"
                className={`${classes.head} ${column.isFigure ? classes.end : ""}`}
              >
                {column.isUnnamed ? <VisuallyHidden>{column.header}</VisuallyHidden> : column.header}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr
              key={idOf(item)}
              className={classes.row}
              data-opens={onOpen ? true : undefined}
              onClick={onOpen && ((event) => isPlain(event.target) && onOpen(item))}
            >
              {columns.map((column, index) => (
                <td key={column.key} className={`${classes.cell} ${column.isFigure ? classes.end : ""}`}>
                  {index === 0 ? <Opener item={item} onOpen={onOpen} column={column} /> : column.render(item)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolled>
  );
}

function Cards<T>({ label, columns, idOf, onOpen, items }: TableProperties<T> & { items: readonly T[] }) {
  const [first, ...others] = columns.filter((column) => !column.isWideOnly);
  return (
    <ul aria-label={label} style={{ listStyle: "none", margin: 0, padding: 0 }}>
      {items.map((item) => (
        <li key={idOf(item)} className={classes.card}>
          {first && (
            <div className={classes.title}>
              <div>
                <Opener item={item} onOpen={onOpen} column={first} />
              </div>
              {others
                .filter((column) => column.isUnnamed)
                .map((column) => (
                  <span key={column.key}>{column.render(item)}</span>
                ))}
            </div>
          )}
          <dl style={{ margin: 0 }}>
            {others
              .filter((column) => !column.isUnnamed)
              .map((column) => (
                <div key={column.key} className={column.isText ? classes.text : classes.pair}>
                  <dt>{column.header}</dt>
                  <dd>{column.render(item)}</dd>
                </div>
              ))}
          </dl>
        </li>
      ))}
    </ul>
  );
}

function Opener<T>({
  item,
  onOpen,
  column,
}: {
  item: T;
  onOpen?: ((item: T) => void) | undefined;
  column: Column<T>;
}) {
  if (!onOpen) return column.render(item);
  return (
    <button type="button" className={classes.opener} onClick={() => onOpen(item)}>
      {column.render(item)}
    </button>
  );
}

function SkeletonRows({ columns }: { columns: number }) {
  return (
    <Loading>
      <div className={classes.frame}>
        {["a", "b", "c", "d", "e", "f"].map((row) => (
          <div key={row} style={{ display: "flex", gap: 24, padding: "14px 16px" }}>
            {Array.from({ length: Math.min(columns, 5) }, (_, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike
              <Skeleton key={index} height={12} style={{ flex: index === 0 ? 2 : 1 }} />
            ))}
          </div>
        ))}
      </div>
    </Loading>
  );
}

/** A click on a link or button inside a line is about that, not about the line. */
function isPlain(target: EventTarget): boolean {
  return target instanceof Element && !target.closest("a, button, input, label, [role=menu]");
}
