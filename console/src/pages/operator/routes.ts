import type { PageRoute } from "../../app/page";

export const operatorRoutes: PageRoute[] = [];
