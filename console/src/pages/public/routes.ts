import { type PageRoute, page } from "../../app/page";

export const publicRoutes: PageRoute[] = [page("/", "public", () => import("./Landing"))];
