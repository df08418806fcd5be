// A price while it is being written. Pure.

import type { Shape } from "../../../api/queries";
import { momentOfField } from "../parts/moments";
import { KINDS } from "./FiguresTable";

/** A tier as texts; `above` is empty in the first one, which is for every length. */
export interface Tier extends Record<(typeof KINDS)[number], string> {
  above: string;
}

export interface Draft extends Record<string, unknown> {
  figures: Tier[];
  max_output_tokens: number | string;
  context_tokens: number | string;
  capabilities: string[];
  source: string;
  when: "now" | "later";
  effective: string;
}

const PRICE = /^\d{1,9}(\.\d{1,6})?$/;

export const EMPTY_TIER: Tier = { above: "", input: "", output: "", cache_read: "", cache_write: "" };

/** The form begins with what is known: the price in force, or what the catalogue says. */
export function draftOf(known: Omit<Shape<"CatalogueEntry">, "model"> | null): Draft {
  return {
    figures: known?.figures.map(tierOf) ?? [{ ...EMPTY_TIER }],
    max_output_tokens: known?.max_output_tokens ?? "",
    context_tokens: known?.context_tokens ?? "",
    capabilities: [...(known?.capabilities ?? [])],
    source: known?.source ?? "",
    when: "now",
    effective: "",
  };
}

function tierOf(figures: Shape<"Figures">): Tier {
  const { above_input_tokens, ...rest } = figures;
  return { ...rest, above: above_input_tokens === 0 ? "" : String(above_input_tokens) };
}

/** What the API takes. */
export function askOf(model: string, draft: Draft): Shape<"SetPrice"> {
  return {
    model,
    figures: draft.figures.map((tier, index) => ({
      above_input_tokens: index === 0 ? 0 : Number(tier.above),
      input: tier.input.trim(),
      output: tier.output.trim(),
      cache_read: tier.cache_read.trim() || tier.input.trim(),
      cache_write: tier.cache_write.trim() || tier.input.trim(),
    })),
    max_output_tokens: Number(draft.max_output_tokens),
    context_tokens: draft.context_tokens === "" ? null : Number(draft.context_tokens),
    capabilities: draft.capabilities,
    source: draft.source.trim(),
    effective: draft.when === "now" ? null : momentOfField(draft.effective),
  };
}

export type Problem = "price" | "above" | "aboveOrder" | "cheaper";

/** What is wrong with the figures, and where; null if nothing is. No tier may be cheaper than the one before it. */
export function problemOfFigures(tiers: readonly Tier[]): { tier: number; problem: Problem } | null {
  for (const [index, tier] of tiers.entries()) {
    const needed = [tier.input, tier.output];
    const optional = [tier.cache_read, tier.cache_write].filter((text) => text.trim() !== "");
    if (![...needed, ...optional].every((text) => PRICE.test(text.trim())))
      return { tier: index, problem: "price" };
    const before = tiers[index - 1];
    if (before === undefined) continue;
    if (!/^[1-9]\d{0,8}$/.test(tier.above.trim())) return { tier: index, problem: "above" };
    if (index > 1 && Number(tier.above) <= Number(before.above))
      return { tier: index, problem: "aboveOrder" };
    if (KINDS.some((kind) => Number(tier[kind] || tier.input) < Number(before[kind] || before.input)))
      return { tier: index, problem: "cheaper" };
  }
  return null;
}
