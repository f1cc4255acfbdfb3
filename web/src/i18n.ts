import i18next from "i18next";
import { useSyncExternalStore } from "react";
import en from "./locales/en.json";

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
  }
}

export type Language = "en" | "de";

const storage = "ecupcakes.language";

/** Returns the language chosen on this device, or else the browser's first language that has a catalogue. */
function preferred(): Language {
  let chosen: string | null = null;
  try {
    chosen = localStorage.getItem(storage);
  } catch {
    // Storage is refused: use the browser's languages.
  }
  for (const tag of [chosen, ...navigator.languages]) {
    const language = tag?.split("-")[0];
    if (language === "en" || language === "de") return language;
  }
  return "en";
}

const remember = (language: string) => {
  try {
    localStorage.setItem(storage, language);
  } catch {
    // Storage is refused: the choice lasts as long as the page.
  }
};

// React escapes texts itself. English is bundled, so initialisation is synchronous.
void i18next.init({
  lng: "en",
  fallbackLng: "en",
  initAsync: false,
  partialBundledLanguages: true,
  resources: { en: { translation: en } },
  interpolation: { escapeValue: false },
});

async function changeLanguage(language: Language): Promise<void> {
  if (!i18next.hasResourceBundle(language, "translation")) {
    i18next.addResourceBundle(language, "translation", (await import("./locales/de.json")).default);
  }
  document.documentElement.lang = language;
  await i18next.changeLanguage(language);
}

/** Sets the user's preferred language, or English if its catalogue cannot be loaded. */
export async function applyPreferredLanguage(): Promise<void> {
  await changeLanguage(preferred()).catch(() => undefined);
}

/** Changes the language of the page and stores the choice. Rejects without a change if the catalogue cannot be loaded. */
export async function chooseLanguage(language: Language): Promise<void> {
  await changeLanguage(language);
  remember(language);
}

export function otherLanguage(): Language {
  return i18next.language === "de" ? "en" : "de";
}

/** Returns the locale for numbers and times: the browser's regional variant of the page's language, if it has one. */
export function locale(): string {
  return navigator.languages.find((tag) => tag.split("-")[0] === i18next.language) ?? i18next.language;
}

/** Returns the translations of one kind of server term in the page's language; it may be empty. */
export function serverTerms<Text = string>(kind: string): Partial<Record<string, Text>> {
  return (i18next.getResource(i18next.language, "translation", kind) ?? {}) as Partial<Record<string, Text>>;
}

/** Translates a server term; returns `otherwise` if the catalogue lacks it. */
export function serverTerm(group: keyof (typeof en)["words"], key: string, otherwise: string): string {
  return serverTerms(`words.${group}`)[key] ?? otherwise;
}

export const { t } = i18next;

const onLanguage = (changed: () => void) => {
  i18next.on("languageChanged", changed);
  return () => { i18next.off("languageChanged", changed); };
};

/** Returns the translate function and re-renders the component whenever the language changes. */
export function useTranslation() {
  useSyncExternalStore(onLanguage, () => i18next.language);
  return { t };
}
