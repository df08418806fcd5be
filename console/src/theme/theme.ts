import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from "@mantine/core";

// Every tuple runs from nearly white to nearly black, so that its 7th shade (index 7) is readable on white and its 3rd on the dark ground.
const relay: MantineColorsTuple = [
  "#effaf7",
  "#d8f1eb",
  "#b0e3d8",
  "#80d1c1",
  "#4bb9a7",
  "#2a9d8d",
  "#178276",
  "#0d6e65",
  "#0b5851",
  "#083f3b",
];
const gray: MantineColorsTuple = [
  "#f7f9f9",
  "#eff2f3",
  "#e3e8ea",
  "#d3dadd",
  "#b6c0c4",
  "#8b979d",
  "#647178",
  "#4b575d",
  "#333d42",
  "#1c2428",
];
const dark: MantineColorsTuple = [
  "#dbe1e3",
  "#b9c2c6",
  "#96a2a7",
  "#6b777d",
  "#414b50",
  "#313a3e",
  "#242c30",
  "#181f22",
  "#12181b",
  "#0c1113",
];
const green: MantineColorsTuple = [
  "#edf9f0",
  "#d7f0de",
  "#aee0bc",
  "#7fcd96",
  "#52b871",
  "#339d55",
  "#238343",
  "#1a6c36",
  "#15562b",
  "#0e3e1f",
];
const red: MantineColorsTuple = [
  "#fdf1f0",
  "#fadfdd",
  "#f4bcb8",
  "#ee948e",
  "#e66b64",
  "#d9483f",
  "#c4352d",
  "#a82a23",
  "#87221d",
  "#641915",
];
const yellow: MantineColorsTuple = [
  "#fdf6e7",
  "#f9e9c3",
  "#f3d58c",
  "#ecbe53",
  "#dea52a",
  "#bd8614",
  "#966a0d",
  "#7a560b",
  "#61450b",
  "#473208",
];
const blue: MantineColorsTuple = [
  "#eff5fc",
  "#dae8f8",
  "#b3d0f0",
  "#86b4e6",
  "#5a97da",
  "#3a7cc8",
  "#2a66ad",
  "#225490",
  "#1c4474",
  "#143254",
];

const SANS =
  '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", sans-serif';
const MONO =
  'ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", monospace';

const TINTED = ["relay", "gray", "green", "red", "yellow", "blue"] as const;

const TITLE = { fontWeight: 650, fontSize: "1.0625rem" };

export const theme = createTheme({
  primaryColor: "relay",
  primaryShade: { light: 7, dark: 6 },
  colors: { relay, gray, dark, green, red, yellow, blue },
  white: "#ffffff",
  black: "#1c2428",
  fontFamily: SANS,
  fontFamilyMonospace: MONO,
  fontSizes: { xs: "0.75rem", sm: "0.875rem", md: "0.9375rem", lg: "1.0625rem", xl: "1.25rem" },
  lineHeights: { xs: "1.4", sm: "1.45", md: "1.55", lg: "1.6", xl: "1.65" },
  headings: {
    fontFamily: SANS,
    fontWeight: "650",
    sizes: {
      h1: { fontSize: "1.625rem", lineHeight: "1.25" },
      h2: { fontSize: "1.25rem", lineHeight: "1.35" },
      h3: { fontSize: "1.0625rem", lineHeight: "1.4" },
      h4: { fontSize: "0.9375rem", lineHeight: "1.45" },
    },
  },
  defaultRadius: "md",
  radius: { xs: "3px", sm: "5px", md: "7px", lg: "10px", xl: "16px" },
  cursorType: "pointer",
  respectReducedMotion: true,
  focusRing: "auto",
  // Nearly every field is required; the few that are not say so.
  components: {
    InputWrapper: { defaultProps: { withAsterisk: false } },
    Modal: { styles: { title: TITLE } },
    Drawer: { styles: { title: TITLE } },
    // Colour alone does not tell a link from the text around it.
    Anchor: { defaultProps: { underline: "always" } },
  },
});

/** Tints, dimmed text and error text that keep a contrast of 4.5 to 1 in both schemes. */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--relay-mark": relay[7],
    "--relay-ground": gray[0],
    "--relay-surface": "#ffffff",
    "--relay-line": gray[2],
    "--relay-field": gray[4],
    "--relay-code": gray[1],
    "--mantine-color-body": "#ffffff",
    "--mantine-color-dimmed": "#5b686e",
    "--mantine-color-placeholder": "#748087",
    "--mantine-color-error": red[7],
    "--mantine-color-anchor": relay[7],
    "--mantine-color-default-border": gray[3],
    ...Object.fromEntries(
      TINTED.flatMap((name) => [
        [`--mantine-color-${name}-light-color`, `var(--mantine-color-${name}-8)`],
        [`--mantine-color-${name}-light`, `var(--mantine-color-${name}-1)`],
        [`--mantine-color-${name}-light-hover`, `var(--mantine-color-${name}-2)`],
        [`--mantine-color-${name}-text`, `var(--mantine-color-${name}-7)`],
      ]),
    ),
  },
  dark: {
    "--relay-mark": relay[6],
    "--relay-ground": dark[8],
    "--relay-surface": dark[7],
    "--relay-line": dark[5],
    "--relay-field": dark[4],
    "--relay-code": dark[8],
    "--mantine-color-body": dark[7],
    "--mantine-color-dimmed": dark[2],
    "--mantine-color-placeholder": "#7f8b91",
    "--mantine-color-error": red[3],
    "--mantine-color-anchor": relay[3],
    "--mantine-color-default-border": dark[4],
    ...Object.fromEntries(
      TINTED.flatMap((name) => [
        [`--mantine-color-${name}-light-color`, `var(--mantine-color-${name}-2)`],
        [
          `--mantine-color-${name}-light`,
          `color-mix(in srgb, var(--mantine-color-${name}-6) 22%, transparent)`,
        ],
        [
          `--mantine-color-${name}-light-hover`,
          `color-mix(in srgb, var(--mantine-color-${name}-6) 32%, transparent)`,
        ],
        [`--mantine-color-${name}-text`, `var(--mantine-color-${name}-3)`],
      ]),
    ),
  },
});
