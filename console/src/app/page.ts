import { type ComponentType, lazy } from "react";
import { type Area, loadTexts } from "../i18n";

/** Who may see a page: anybody, whoever has signed in, or operators. The same words as in the API's table. */
export type Access = "public" | "person" | "operator";

/** What stands around a page: `open` the site's header and footer, `signedIn` the navigation, `either` what fits the visitor. */
export type Surroundings = "open" | "signedIn" | "either";

export interface PageRoute {
  path: string;
  access: Access;
  within: Surroundings;
  Page: ComponentType;
  /** The page stays as it is while its address changes within the path, such as for a panel with an address of its own. */
  isOneView: boolean;
  /** Loads code and texts ahead of the click. */
  preload: () => Promise<unknown>;
}

/** One line of a table of routes: the page is a chunk of its own, and its texts come beside it. */
export function page(
  path: string,
  area: Area,
  load: () => Promise<{ default: ComponentType }>,
  { access, within, isOneView = false }: { access?: Access; within?: Surroundings; isOneView?: boolean } = {},
): PageRoute {
  const loadBoth = async () => (await Promise.all([load(), loadTexts(area)]))[0];
  const usual: Access = area === "public" ? "public" : area === "operator" ? "operator" : "person";
  return {
    path,
    access: access ?? usual,
    within: within ?? (usual === "public" ? "open" : "signedIn"),
    Page: lazy(loadBoth),
    isOneView,
    preload: loadBoth,
  };
}
