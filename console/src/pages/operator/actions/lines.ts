// Two sides of an action as lines to compare. Pure.

/** One member: how it was written before and in what was asked for; null where that side does not name it. */
export interface Line {
  name: string;
  before: string | null;
  after: string | null;
  isChanged: boolean;
}

/**
 * Members as `limits.spend_day_usd`. What was asked for may name less than what was there: such a member stays as it was, unless nothing
 * at all was asked for, as when something is deleted.
 */
export function linesOf(before: unknown, after: unknown): Line[] {
  const old = flat(before);
  const wanted = flat(after);
  const names = [...new Set([...wanted.keys(), ...old.keys()])];
  return names.map((name) => {
    const was = old.get(name) ?? null;
    const is = wanted.get(name) ?? null;
    const isNamed = wanted.has(name) || wanted.size === 0;
    return { name, before: was, after: is, isChanged: isNamed && was !== is };
  });
}

function flat(value: unknown, name = "", found = new Map<string, string>()): Map<string, string> {
  if (value === null || value === undefined) {
    if (name !== "") found.set(name, "null");
  } else if (Array.isArray(value)) {
    const isPlain = value.every((each) => typeof each !== "object" || each === null);
    if (isPlain) found.set(name, value.map(String).join("\n"));
    else for (const [index, each] of value.entries()) flat(each, join(name, String(index + 1)), found);
  } else if (typeof value === "object") {
    for (const [member, each] of Object.entries(value)) flat(each, join(name, member), found);
  } else {
    found.set(name, String(value));
  }
  return found;
}

function join(name: string, member: string): string {
  return name === "" ? member : `${name}.${member}`;
}
