import i18next, { type BackendModule } from "i18next";
import { initReactI18next, useTranslation } from "react-i18next";
import { surround } from "./api/client";
import { localeFor } from "./format";
import type account from "./locales/en/account.json";
import type common from "./locales/en/common.json";
import type docs from "./locales/en/docs.json";
import type operator from "./locales/en/operator.json";
import type publicTexts from "./locales/en/public.json";
import type user from "./locales/en/user.json";

export const LANGUAGES = ["en", "zh"] as const;
export type Language = (typeof LANGUAGES)[number];
/** The parts of the catalogue, each a file in `locales/<language>/`. */
export type Area = "common" | "public" | "account" | "docs" | "user" | "operator";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "common";
    resources: {
      common: typeof common;
      public: typeof publicTexts;
      account: typeof account;
      docs: typeof docs;
      user: typeof user;
      operator: typeof operator;
    };
  }
}

const REMEMBERED = "relay-language";
const files = import.meta.glob<{ default: object }>("./locales/*/*.json");

const backend: BackendModule = {
  type: "backend",
  init: () => undefined,
  read: (language, area, done) => {
    const load = files[`./locales/${language}/${area}.json`];
    if (!load) return done(new Error(`There is no catalogue ${language}/${area}`), null);
    load().then(
      (module) => done(null, module.default),
      (error: Error) => done(error, null),
    );
  },
};

/** Starts with the language that was chosen before, else the browser's, else the site's. Only what is shown is loaded. */
export async function startTexts(): Promise<void> {
  await i18next
    .use(backend)
    .use(initReactI18next)
    .init({
      lng: initialLanguage(),
      supportedLngs: [...LANGUAGES],
      fallbackLng: false,
      load: "currentOnly",
      ns: ["common"],
      defaultNS: "common",
      interpolation: { escapeValue: false },
      returnNull: false,
      react: { useSuspense: true },
    });
  const tell = (language: string) => {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  };
  tell(i18next.language);
  i18next.on("languageChanged", tell);
  surround({
    language: () => i18next.language,
    sentence: (about) => i18next.t(about === "network" ? "error.network" : "error.unreadable"),
  });
}

/** Loads an area's texts, so that its page does not wait for them after its code. */
export function loadTexts(area: Area): Promise<void> {
  return i18next.loadNamespaces(area);
}

/** Switches at once, and remembers it. */
export function chooseLanguage(language: Language): Promise<unknown> {
  remember(language);
  return i18next.changeLanguage(language);
}

/** Follows the language of the person's account, unless one was chosen in this browser. */
export function suggestLanguage(language: Language): void {
  if (remembered() === null && i18next.language !== language) void i18next.changeLanguage(language);
}

/** The language that is shown, and its locale for Intl. */
export function useLanguage(): { language: Language; locale: string } {
  const { i18n } = useTranslation("common");
  const language: Language = i18n.language === "zh" ? "zh" : "en";
  return { language, locale: localeFor(language) };
}

/** A text of the operator's in the language that is shown, else in the other. */
export function useOperatorText(): (text: { en?: string; zh?: string }) => string {
  const { language } = useLanguage();
  return (text) => (language === "zh" ? text.zh || text.en : text.en || text.zh) ?? "";
}

function initialLanguage(): Language {
  const chosen = remembered();
  if (chosen) return chosen;
  for (const each of navigator.languages) {
    const found = LANGUAGES.find((language) => each.toLowerCase().startsWith(language));
    if (found) return found;
  }
  return "en";
}

function remembered(): Language | null {
  try {
    const text = localStorage.getItem(REMEMBERED);
    return LANGUAGES.find((language) => language === text) ?? null;
  } catch {
    return null; // a browser that stores nothing
  }
}

function remember(language: Language): void {
  try {
    localStorage.setItem(REMEMBERED, language);
  } catch {
    // a browser that stores nothing: the choice holds for this visit
  }
}
