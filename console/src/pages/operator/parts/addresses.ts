/** The addresses of the operator's pages. */
export const to = {
  channel: (name: string) => `/operator/channels/${encodeURIComponent(name)}`,
  account: (id: string) => `/operator/accounts/${encodeURIComponent(id)}`,
  request: (id: string) => `/operator/requests/${encodeURIComponent(id)}`,
  requests: (filters: Record<string, string>) => `/operator/requests?${new URLSearchParams(filters)}`,
  model: (model: string) => `/operator/prices?${new URLSearchParams({ model })}`,
};

/** A part of the address as it was before it was encoded. */
export function decoded(part: string | undefined): string {
  try {
    return decodeURIComponent(part ?? "");
  } catch {
    return part ?? "";
  }
}
