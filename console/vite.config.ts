import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

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
        // What every page needs and hardly ever changes is one file, which a browser keeps over releases.
        codeSplitting: {
          groups: [
            {
              name: "vendor",
              test: /node_modules\/(react|react-dom|scheduler|i18next|react-i18next|@tanstack|wouter|regexparam|use-sync-external-store)\//,
            },
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
