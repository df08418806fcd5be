import { type PageRoute, page } from "../../app/page";

export const publicRoutes: PageRoute[] = [
  page("/", "public", () => import("./Landing")),
  page("/status", "public", () => import("./Status"), { within: "either" }),
  page("/docs/start", "docs", () => import("../docs/Start"), { access: "public", within: "either" }),
];
