import { type PageRoute, page } from "../../app/page";

export const accountRoutes: PageRoute[] = [page("/account", "account", () => import("./Account"))];
