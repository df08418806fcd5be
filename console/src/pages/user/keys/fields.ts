import type { Shape } from "../../../api/queries";
import { type LimitValues, limitValuesOf } from "./LimitFields";

export const EXPIRIES = ["never", "month", "quarter", "year", "date"] as const;
export type Expiry = (typeof EXPIRIES)[number];

const DAYS = { month: 30, quarter: 90, year: 365 } as const;

/** What the form of a key holds. */
export interface Values extends Record<string, unknown> {
  name: string;
  expiry: Expiry;
  /** The last day, in the person's time zone. */
  date: string;
  allowed_models: string[];
  allowed_addresses: string[];
  limits: LimitValues;
}

/** The values of a key, or of a new one. */
export function valuesOf(key: Shape<"Key"> | null): Values {
  return {
    name: key?.name ?? "",
    expiry: key?.expires ? "date" : "never",
    date: key?.expires ? localDay(key.expires) : "",
    allowed_models: key?.allowed_models ?? [],
    allowed_addresses: key?.allowed_addresses ?? [],
    limits: limitValuesOf(key?.limits ?? {}),
  };
}

/** When a key with these values expires, in seconds of the Unix epoch. A day that was left as it is keeps its time. */
export function expiresOf(values: Values, before: Shape<"Key"> | null): number | null {
  if (values.expiry === "never") return null;
  if (values.expiry !== "date") return Math.floor(Date.now() / 1000) + DAYS[values.expiry] * 86_400;
  if (before?.expires && localDay(before.expires) === values.date) return before.expires;
  return Math.floor(new Date(`${values.date}T23:59:59`).getTime() / 1000);
}

function localDay(seconds: number): string {
  const moment = new Date(seconds * 1000);
  const two = (part: number) => String(part).padStart(2, "0");
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}
