// The arithmetic of a charge, so that a person can follow it: whole numbers throughout, as the ledger does it. A price is in pico-USD
// for a token, an amount in pico-USD; the sum is multiplied, and rounded up once to a nano-USD.

import type { Shape } from "../../../api/queries";

export type UnitName = "input" | "cacheRead" | "cacheWrite" | "output";

/** One kind of tokens: how many, the price of a million, and what they cost before the multiplier. All in USD as decimal text. */
export interface Line {
  name: UnitName;
  tokens: number;
  price: string;
  amount: string;
}

export interface Sum {
  lines: Line[];
  /** Of all lines, with up to twelve places. */
  total: string;
  multiplier: string;
  /** Multiplied and rounded up to nine places. */
  cost: string;
  /** The prompt is longer than this, so dearer figures hold; 0 for the usual ones. */
  aboveInputTokens: number;
}

const PICO_PER_NANO = 1000n;
const PPM = 1_000_000n;

/** Computes what these tokens cost with this price. */
export function compute(tokens: Shape<"Usage">, price: Shape<"PriceView">): Sum {
  const { input_tokens = 0, cache_read_tokens = 0, cache_write_tokens = 0, output_tokens = 0 } = tokens;
  const figures = price.figures
    .filter((tier) => tier.above_input_tokens === 0 || input_tokens > tier.above_input_tokens)
    .at(-1);
  const lines: Line[] = [];
  let total = 0n;
  const add = (name: UnitName, count: number, usdPerMillion: string | undefined) => {
    if (count === 0 && name !== "input" && name !== "output") return;
    const amount = BigInt(count) * scaled(usdPerMillion ?? "0", 6);
    total += amount;
    lines.push({ name, tokens: count, price: usdPerMillion ?? "0", amount: decimal(amount, 12) });
  };
  add("input", input_tokens - cache_read_tokens - cache_write_tokens, figures?.input);
  add("cacheRead", cache_read_tokens, figures?.cache_read);
  add("cacheWrite", cache_write_tokens, figures?.cache_write);
  add("output", output_tokens, figures?.output);
  const divisor = PICO_PER_NANO * PPM;
  const nano = (total * scaled(price.multiplier, 6) + divisor - 1n) / divisor;
  return {
    lines,
    total: decimal(total, 12),
    multiplier: price.multiplier,
    cost: decimal(nano, 9),
    aboveInputTokens: figures?.above_input_tokens ?? 0,
  };
}

/** Whether two decimal texts are the same amount. */
export function isSame(a: string, b: string): boolean {
  return scaled(a, 9) === scaled(b, 9);
}

/** Decimal text times ten to the power of `places`, as a whole number. */
function scaled(text: string, places: number): bigint {
  const [whole = "0", fraction = ""] = text.split(".");
  return BigInt(whole + fraction.slice(0, places).padEnd(places, "0"));
}

function decimal(value: bigint, places: number): string {
  const digits = value.toString().padStart(places + 1, "0");
  const fraction = digits.slice(-places).replace(/0+$/, "").padEnd(2, "0");
  return `${digits.slice(0, -places)}.${fraction}`;
}
