// Decimal texts of money, reckoned without rounding. Pure.

const PLACES = 9;
const DECIMAL = /^-?\d{1,15}(\.\d{1,9})?$/;

/** Decimal text as billionths, null for what is no amount. */
export function nanoOf(text: string): bigint | null {
  const tidy = text.trim();
  if (!DECIMAL.test(tidy)) return null;
  const isNegative = tidy.startsWith("-");
  const [whole = "0", fraction = ""] = tidy.replace("-", "").split(".");
  const nano = BigInt(whole + fraction.padEnd(PLACES, "0"));
  return isNegative ? -nano : nano;
}

/** Billionths as decimal text. */
export function textOf(nano: bigint): string {
  const isNegative = nano < 0n;
  const digits = (isNegative ? -nano : nano).toString().padStart(PLACES + 1, "0");
  const fraction = digits.slice(-PLACES).replace(/0+$/, "");
  return `${isNegative ? "-" : ""}${digits.slice(0, -PLACES)}${fraction ? `.${fraction}` : ""}`;
}

/** How much more `after` is than `before`, as a share; null from nothing. */
export function growth(before: number, after: number): number | null {
  return before === 0 ? null : (after - before) / before;
}
