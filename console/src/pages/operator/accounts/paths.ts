import type { PathOf } from "../../../api/client";

/** What is read again when an account has changed. */
export const ACCOUNT_PATHS: PathOf<"get">[] = [
  "/api/operator/accounts",
  "/api/operator/accounts/{account_id}",
  "/api/operator/accounts/{account_id}/transfers",
  "/api/operator/traffic",
];
