import type { ReactNode } from "react";
import classes from "./FilterBar.module.css";

/** What a list is filtered by, its search first. What has `data-whole` gets a line of its own on a phone. */
export function FilterBar({ label, children }: { label?: string; children: ReactNode }) {
  return (
    <div className={classes.filters} {...(label ? { role: "search", "aria-label": label } : {})}>
      {children}
    </div>
  );
}
