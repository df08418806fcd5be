import { accountRoutes } from "../pages/account/routes";
import { operatorRoutes } from "../pages/operator/routes";
import { publicRoutes } from "../pages/public/routes";
import { userRoutes } from "../pages/user/routes";
import { type PageRoute, page } from "./page";

/** Every page. A new one is a line in the `routes.ts` of its area. */
export const routes: readonly PageRoute[] = [
  ...publicRoutes,
  ...accountRoutes,
  ...userRoutes,
  ...operatorRoutes,
];

export const notFound = page("*", "public", () => import("../pages/public/NotFound"), { within: "either" });

/** Loads what a link leads to, when the pointer comes near it. */
export function preload(path: string): void {
  routes
    .find((route) => route.path === path || route.path.replace(/\/:\w+\?$/, "") === path)
    ?.preload()
    .catch(() => undefined);
}
