// A code is RELAY and five groups of five letters and digits, in Crockford's base 32: without I, L, O and U, which are easily taken for
// others. Whoever types a letter O means a zero.

const PREFIX = "RELAY";
const CHARACTERS = 25;

/** What somebody typed or pasted as a code: as it is printed, and how many of its characters are there or what is wrong in it. */
export function readCode(typed: string): {
  printed: string;
  length: number;
  strange: string | null;
  isWhole: boolean;
} {
  const plain = typed
    .normalize("NFKC")
    .toUpperCase()
    .replace(/[\s\p{Dash}_.]/gu, "");
  const own = plain.startsWith(PREFIX) ? plain.slice(PREFIX.length) : plain;
  const meant = own.replace(/O/g, "0").replace(/[IL]/g, "1");
  const strange = meant.match(/[^0-9A-HJKMNP-TV-Z]/u)?.[0] ?? null;
  const groups = meant.match(/.{1,5}/gu) ?? [];
  return {
    printed: [PREFIX, ...groups].join("-"),
    length: meant.length,
    strange,
    isWhole: strange === null && meant.length === CHARACTERS,
  };
}

export { CHARACTERS };
