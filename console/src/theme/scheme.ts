import { useMantineColorScheme } from "@mantine/core";

export const SCHEMES = ["auto", "light", "dark"] as const;
export type Scheme = (typeof SCHEMES)[number];

/** The scheme that was chosen (`auto` follows the system), and how to choose another. Mantine remembers it. */
export function useScheme(): { scheme: Scheme; choose: (scheme: Scheme) => void; next: Scheme } {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const next = SCHEMES[(SCHEMES.indexOf(colorScheme) + 1) % SCHEMES.length] ?? "auto";
  return { scheme: colorScheme, choose: setColorScheme, next };
}
