import "../theme/full";
import "@mantine/notifications/styles.layer.css";
import { AppShell, Burger, Group, Menu, NavLink, ScrollArea, Text, UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { Notifications } from "@mantine/notifications";
import { IconChevronDown, IconHome, IconLogout, IconUserCircle } from "@tabler/icons-react";
import { type ReactNode, useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation } from "wouter";
import { api } from "../api/client";
import { queryClient, type Shape } from "../api/queries";
import { Logo } from "../theme/Logo";
import { ConfirmProvider } from "../ui/confirm";
import { ProofProvider } from "../ui/Proof";
import { useAction } from "../ui/useAction";
import { Notice } from "./Notice";
import { type Entry, OPERATOR_ENTRIES, USER_ENTRIES } from "./navigation";
import { preload } from "./routes";
import classes from "./SignedInShell.module.css";
import { Switches } from "./Switches";
import { useSiteName } from "./useSite";

/** What stands around the pages of signed-in people: the header with who it is, and the navigation, a drawer on small screens. */
export default function SignedInShell({ me, children }: { me: Shape<"Me">; children: ReactNode }) {
  const { t } = useTranslation("common");
  const [isOpen, drawer] = useDisclosure(false);
  const [location] = useLocation();
  const name = useSiteName();
  // biome-ignore lint/correctness/useExhaustiveDependencies: whoever has gone somewhere wants to see it
  useEffect(drawer.close, [location]);
  return (
    <ConfirmProvider>
      <ProofProvider me={me}>
        <Notifications position="bottom-right" autoClose={5000} />
        <AppShell
          header={{ height: 56 }}
          navbar={{ width: 224, breakpoint: "md", collapsed: { mobile: !isOpen } }}
          padding={{ base: "md", sm: "lg" }}
        >
          <AppShell.Header className={classes.header}>
            <a className="skip-link" href="#main">
              {t("skipToContent")}
            </a>
            <Group h="100%" px="md" justify="space-between" wrap="nowrap" gap="xs">
              <Group gap="xs" wrap="nowrap" miw={0}>
                <Burger
                  opened={isOpen}
                  onClick={drawer.toggle}
                  hiddenFrom="md"
                  size="sm"
                  aria-label={t(isOpen ? "navigation.close" : "navigation.open")}
                  aria-expanded={isOpen}
                />
                <Link href="/dashboard" className={classes.name}>
                  <Logo />
                  <span>{name}</span>
                </Link>
              </Group>
              <Group gap="xs" wrap="nowrap">
                <Switches />
                <PersonMenu me={me} />
              </Group>
            </Group>
          </AppShell.Header>
          <AppShell.Navbar className={classes.navbar} aria-label={t("navigation.label")}>
            <ScrollArea p="xs" type="auto">
              <Entries entries={USER_ENTRIES} location={location} />
              {me.role === "admin" && (
                <>
                  <Text className={classes.group}>{t("navigation.operator")}</Text>
                  <Entries entries={OPERATOR_ENTRIES} location={location} />
                </>
              )}
            </ScrollArea>
          </AppShell.Navbar>
          <AppShell.Main id="main" tabIndex={-1}>
            <div className={classes.content}>
              <Notice isInset />
              {children}
            </div>
          </AppShell.Main>
        </AppShell>
      </ProofProvider>
    </ConfirmProvider>
  );
}

function Entries({ entries, location }: { entries: readonly Entry[]; location: string }) {
  const { t } = useTranslation("common");
  return entries.map(({ path, name, Icon }) => {
    const isHere = location === path || (path !== "/operator" && location.startsWith(`${path}/`));
    return (
      <NavLink
        key={path}
        component={Link}
        href={path}
        label={t(`navigation.${name}`)}
        leftSection={<Icon size={18} stroke={1.6} aria-hidden />}
        active={isHere}
        aria-current={isHere ? "page" : undefined}
        className={classes.entry}
        onMouseEnter={() => preload(path)}
      />
    );
  });
}

function PersonMenu({ me }: { me: Shape<"Me"> }) {
  const { t } = useTranslation("common");
  const [, go] = useLocation();
  const signOut = useAction(() => api.post("/api/sign-out"), {
    onDone: () => {
      go("/");
      queryClient.clear();
      queryClient.setQueryData(["/api/me"], null);
    },
  });
  return (
    <Menu position="bottom-end" width={220} shadow="md">
      <Menu.Target>
        <UnstyledButton aria-label={t("personMenu", { email: me.email })} px={6} py={4}>
          <Group gap={6} wrap="nowrap">
            <Text size="sm" maw={200} truncate visibleFrom="sm">
              {me.email}
            </Text>
            <IconUserCircle size={22} stroke={1.5} aria-hidden />
            <IconChevronDown size={14} aria-hidden />
          </Group>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{me.email}</Menu.Label>
        <Menu.Item component={Link} href="/account" leftSection={<IconUserCircle size={16} aria-hidden />}>
          {t("navigation.account")}
        </Menu.Item>
        <Menu.Item component={Link} href="/" leftSection={<IconHome size={16} aria-hidden />}>
          {t("navigation.home")}
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item
          color="red"
          leftSection={<IconLogout size={16} aria-hidden />}
          onClick={() => signOut.mutate(undefined)}
        >
          {t("signOut")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
