import { type PageRoute, page } from "../../app/page";

export const operatorRoutes: PageRoute[] = [
  page("/operator", "operator", () => import("./overview/Overview")),
  page("/operator/channels", "operator", () => import("./channels/Channels")),
  // Two parts, so that it is no name of a channel.
  page("/operator/channels/new/form", "operator", () => import("./channels/NewChannel")),
  page("/operator/channels/:name", "operator", () => import("./channels/Channel")),
  page("/operator/channels/:name/edit", "operator", () => import("./channels/EditChannel")),
  page("/operator/prices", "operator", () => import("./prices/Prices")),
  page("/operator/accounts", "operator", () => import("./accounts/Accounts")),
  page("/operator/accounts/:accountId", "operator", () => import("./accounts/Account")),
  page("/operator/codes", "operator", () => import("./codes/Codes")),
  page("/operator/requests", "operator", () => import("./requests/Requests")),
  page("/operator/requests/:requestId", "operator", () => import("./requests/Request")),
  page("/operator/site", "operator", () => import("./site/Site")),
  page("/operator/actions", "operator", () => import("./actions/Actions")),
];
