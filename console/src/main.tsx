import "./theme/first";
import { localStorageColorSchemeManager, MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { meQuery, queryClient, siteQuery } from "./api/queries";
import { App } from "./app/App";
import { startTexts } from "./i18n";
import { cssVariables, theme } from "./theme/theme";

const schemes = localStorageColorSchemeManager({ key: "relay-scheme" });

// What every page needs is asked for while the texts still load.
void queryClient.prefetchQuery(siteQuery());
void queryClient.prefetchQuery(meQuery());

startTexts().then(() => {
  const root = document.getElementById("root");
  if (!root) return;
  createRoot(root).render(
    <StrictMode>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={cssVariables}
        colorSchemeManager={schemes}
        defaultColorScheme="auto"
        deduplicateCssVariables={false}
      >
        <QueryClientProvider client={queryClient}>
          <App />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
});
