import type { Shape } from "../../../api/queries";

/** What somebody wants to do with a key. The page holds it, since the key may leave the list meanwhile. */
export interface Asked {
  what: "edit" | "rotate" | "revoke";
  key: Shape<"Key">;
}

export type Ask = (asked: Asked) => void;
