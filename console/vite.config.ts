import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// What the first page is made of; with what these stand on, it is one file that compresses well. Everything else loads when needed.
const FIRST_PAGE = new RegExp(
  [
    "ui/(CodeBlock|CopyButton|Empty|ErrorState|Loaded|PageHeader|PagedTable|SearchField)",
    "app/(Boundary|Notice|OpenShell|Switches|page|useSite)",
    "api/(client|queries)",
    "theme/(Logo|scheme|theme)",
    "(format|i18n)",
  ]
    .map((part) => `/src/${part}\\.`)
    .join("|"),
);

// The output is the same for the same sources: names are hashes of contents, and nothing of the machine is in it. The edge serves the
// folder with a policy of `script-src 'self'`, so nothing may be inlined as a script or a data: address.
export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../services/edge/console",
    emptyOutDir: true,
    manifest: "manifest.json",
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            // These hardly ever change, so a browser keeps them over releases.
            { name: "vendor", test: /node_modules\/(react|react-dom|scheduler|i18next)\// },
            { name: "ui", test: FIRST_PAGE },
          ],
        },
      },
    },
  },
  server: {
    port: 5173,
    proxy: { "/api": "http://127.0.0.1:8080", "/v1": "http://127.0.0.1:8080" },
  },
});
