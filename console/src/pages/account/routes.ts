import { type PageRoute, page } from "../../app/page";

const open = { access: "public", within: "open" } as const;

export const accountRoutes: PageRoute[] = [
  page("/sign-in", "account", () => import("./SignIn"), open),
  page("/sign-up", "account", () => import("./SignUp"), open),
  page("/confirm-email", "account", () => import("./ConfirmEmail"), open),
  page("/forgot-password", "account", () => import("./ForgotPassword"), open),
  page("/reset-password", "account", () => import("./ResetPassword"), open),
  page("/outbox", "account", () => import("./Outbox"), open),
  page("/account", "account", () => import("./Account")),
];
