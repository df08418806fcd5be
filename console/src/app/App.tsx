import { Center, Loader } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { lazy, type ReactNode, Suspense, useEffect } from "react";
import { useTranslation } from "react-i18next";
import { matchRoute, Redirect, Route, useLocation, useRouter } from "wouter";
import { meQuery } from "../api/queries";
import { suggestLanguage } from "../i18n";
import { ErrorState } from "../ui/ErrorState";
import { Boundary } from "./Boundary";
import { OpenShell } from "./OpenShell";
import type { PageRoute } from "./page";
import { notFound, routes } from "./routes";

const SignedInShell = lazy(() => import("./SignedInShell"));

/** The console: the page of the address, in what surrounds it, if the visitor may see it. */
export function App() {
  const [location] = useLocation();
  const { parser } = useRouter();
  const route = routes.find((each) => matchRoute(parser, each.path, location)[0]) ?? notFound;
  const me = useQuery(meQuery());
  const language = me.data?.language;
  useEffect(() => {
    if (language) suggestLanguage(language);
  }, [language]);
  const view = route.isOneView ? route.path : location;
  useNewPage(view);

  if (route.access !== "public" && !me.data) {
    if (me.isPending) return <Waiting />;
    if (me.isError)
      return <OpenShell>{<ErrorState error={me.error} retry={() => void me.refetch()} />}</OpenShell>;
    return <Redirect to={`/sign-in?next=${encodeURIComponent(location + window.location.search)}`} replace />;
  }
  const shown = route.access === "operator" && me.data?.role !== "admin" ? notFound : route;
  if (shown.within === "either" && me.isPending) return <Waiting />;
  const isSignedIn = shown.within === "signedIn" || (shown.within === "either" && Boolean(me.data));
  const content = <Content key={view} route={shown} />;
  if (!isSignedIn || !me.data) return <OpenShell>{content}</OpenShell>;
  return (
    <Suspense fallback={<Waiting />}>
      <SignedInShell me={me.data}>{content}</SignedInShell>
    </Suspense>
  );
}

function Content({ route }: { route: PageRoute }): ReactNode {
  const { Page } = route;
  return (
    <Boundary>
      <Suspense fallback={<Waiting />}>
        {route === notFound ? (
          <Page />
        ) : (
          <Route path={route.path}>
            <Page />
          </Route>
        )}
      </Suspense>
    </Boundary>
  );
}

function Waiting() {
  const { t } = useTranslation("common");
  return (
    <Center mih="40vh">
      <Loader size="sm" role="status" aria-label={t("state.loading")} />
    </Center>
  );
}

/** A new page begins at its top, and a screen reader goes on in it. */
function useNewPage(view: string): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the page is what it waits for
  useEffect(() => {
    if (window.location.hash) return;
    window.scrollTo(0, 0);
    if (document.activeElement && document.activeElement !== document.body) {
      document.getElementById("main")?.focus({ preventScroll: true });
    }
  }, [view]);
}
