import { type PageRoute, page } from "../../app/page";

export const userRoutes: PageRoute[] = [
  page("/dashboard", "user", () => import("./Dashboard")),
  page("/keys/:keyId?", "user", () => import("./Keys"), { isOneView: true }),
  page("/wallet", "user", () => import("./Wallet")),
  page("/usage/:requestId?", "user", () => import("./Usage"), { isOneView: true }),
  page("/playground", "user", () => import("./Playground")),
];
