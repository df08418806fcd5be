import type { PageRoute } from "../../app/page";

export const userRoutes: PageRoute[] = [];
