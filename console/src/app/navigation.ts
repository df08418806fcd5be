import {
  IconActivityHeartbeat,
  IconBook2,
  IconBuildingBroadcastTower,
  IconGauge,
  IconHistory,
  IconKey,
  IconLayoutDashboard,
  IconListSearch,
  IconMessages,
  IconReceipt,
  IconSettings,
  IconTags,
  IconTicket,
  IconUserCircle,
  IconUsers,
  IconWallet,
} from "@tabler/icons-react";

/** One entry of the navigation; its label is the text `navigation.<name>` of the common catalogue. */
export interface Entry {
  path: string;
  name: keyof typeof import("../locales/en/common.json")["navigation"];
  Icon: typeof IconKey;
}

export const USER_ENTRIES: readonly Entry[] = [
  { path: "/dashboard", name: "dashboard", Icon: IconLayoutDashboard },
  { path: "/keys", name: "keys", Icon: IconKey },
  { path: "/wallet", name: "wallet", Icon: IconWallet },
  { path: "/usage", name: "usage", Icon: IconReceipt },
  { path: "/playground", name: "playground", Icon: IconMessages },
  { path: "/docs/start", name: "documentation", Icon: IconBook2 },
  { path: "/status", name: "status", Icon: IconActivityHeartbeat },
  { path: "/account", name: "account", Icon: IconUserCircle },
];

export const OPERATOR_ENTRIES: readonly Entry[] = [
  { path: "/operator", name: "overview", Icon: IconGauge },
  { path: "/operator/channels", name: "channels", Icon: IconBuildingBroadcastTower },
  { path: "/operator/prices", name: "prices", Icon: IconTags },
  { path: "/operator/accounts", name: "accounts", Icon: IconUsers },
  { path: "/operator/codes", name: "codes", Icon: IconTicket },
  { path: "/operator/requests", name: "requests", Icon: IconListSearch },
  { path: "/operator/site", name: "site", Icon: IconSettings },
  { path: "/operator/actions", name: "actions", Icon: IconHistory },
];
