import { Button, Container, Group } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation } from "wouter";
import { meQuery, siteQuery } from "../api/queries";
import { Logo } from "../theme/Logo";
import { Notice } from "./Notice";
import classes from "./OpenShell.module.css";
import { preload } from "./routes";
import { Switches } from "./Switches";
import { useSiteName } from "./useSite";

const LINKS = [
  { path: "/docs/start", name: "documentation" },
  { path: "/status", name: "status" },
] as const;

/** What stands around pages that anybody may see: a header with the ways in, and a footer. */
export function OpenShell({ children }: { children: ReactNode }) {
  const { t } = useTranslation("common");
  const site = useQuery(siteQuery()).data;
  const me = useQuery(meQuery()).data;
  const name = useSiteName();
  const [location] = useLocation();
  const links = LINKS.map(({ path, name }) => (
    <Link
      key={path}
      href={path}
      className={classes.link}
      aria-current={location === path ? "page" : undefined}
      onMouseEnter={() => preload(path)}
    >
      {t(`navigation.${name}`)}
    </Link>
  ));
  return (
    <div className={classes.page}>
      <a className="skip-link" href="#main">
        {t("skipToContent")}
      </a>
      <header className={classes.header}>
        <Container size="lg" className={classes.bar}>
          <Link href="/" className={classes.name}>
            <Logo />
            <span>{name}</span>
          </Link>
          <nav className={classes.links} aria-label={t("navigation.label")}>
            {links}
          </nav>
          <Group gap={8} wrap="nowrap" className={classes.push}>
            <Switches />
            {me ? (
              <Button component={Link} href="/dashboard" size="sm" onMouseEnter={() => preload("/dashboard")}>
                {t("navigation.dashboard")}
              </Button>
            ) : (
              <>
                <Button
                  component={Link}
                  href="/sign-in"
                  size="sm"
                  variant="default"
                  onMouseEnter={() => preload("/sign-in")}
                >
                  {t("signIn")}
                </Button>
                {site && site.sign_up !== "off" && (
                  <Button
                    component={Link}
                    href="/sign-up"
                    size="sm"
                    visibleFrom="sm"
                    onMouseEnter={() => preload("/sign-up")}
                  >
                    {t("signUp")}
                  </Button>
                )}
              </>
            )}
          </Group>
        </Container>
      </header>
      <Notice />
      <main id="main" tabIndex={-1} className={classes.main}>
        <Container size="lg">{children}</Container>
      </main>
      <footer className={classes.footer}>
        <Container size="lg" className={classes.footerBar}>
          <span>{name}</span>
          <Link href="/docs/start" className={classes.footerLink}>
            {t("navigation.documentation")}
          </Link>
          <a href="/docs" className={classes.footerLink}>
            {t("navigation.reference")}
          </a>
          <Link href="/status" className={classes.footerLink}>
            {t("navigation.status")}
          </Link>
          {site?.contact && <span>{t("contact", { contact: site.contact })}</span>}
          {site?.version && <span className={classes.push}>{t("version", { version: site.version })}</span>}
        </Container>
      </footer>
    </div>
  );
}
