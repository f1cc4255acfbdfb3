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

/** What was chosen on this device, else the first language of the browser that there is a catalogue for. */
function preferred(): Language {
  let chosen: string | null = null;
  try {
    chosen = localStorage.getItem(storage);
  } catch {
    // Storage is refused: the browser's languages decide.
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

// React escapes what it shows. English is at hand, so this is done when it returns.
void i18next.init({
  lng: "en",
  fallbackLng: "en",
  initAsync: false,
  partialBundledLanguages: true,
  resources: { en: { translation: en } },
  interpolation: { escapeValue: false },
});

async function speak(language: Language): Promise<void> {
  if (!i18next.hasResourceBundle(language, "translation")) {
    i18next.addResourceBundle(language, "translation", (await import("./locales/de.json")).default);
  }
  document.documentElement.lang = language;
  await i18next.changeLanguage(language);
}

/** Has the page speak the language that its user prefers. What cannot be fetched is shown in English. */
export async function speakPreferred(): Promise<void> {
  await speak(preferred()).catch(() => undefined);
}

/** Changes the language of all that is on the page, and remembers it. If it cannot be fetched, nothing changes. */
export async function choose(language: Language): Promise<void> {
  await speak(language);
  remember(language);
}

export function otherLanguage(): Language {
  return i18next.language === "de" ? "en" : "de";
}

/** The locale for numbers and times: the browser's own region if it is of the page's language. */
export function locale(): string {
  return navigator.languages.find((tag) => tag.split("-")[0] === i18next.language) ?? i18next.language;
}

/** What the catalogue of the page's language has for the server's words, of one kind; it may have nothing. */
export function forServer<Text = string>(kind: string): Partial<Record<string, Text>> {
  return (i18next.getResource(i18next.language, "translation", kind) ?? {}) as Partial<Record<string, Text>>;
}

/** The page's word for one of the server's; one that no catalogue has is shown as it is. */
export function word(group: keyof (typeof en)["words"], key: string, otherwise: string): string {
  return forServer(`words.${group}`)[key] ?? otherwise;
}

export const { t } = i18next;

const onLanguage = (changed: () => void) => {
  i18next.on("languageChanged", changed);
  return () => { i18next.off("languageChanged", changed); };
};

/** Gives what translates, and shows the component anew whenever the language changes. */
export function useTranslation() {
  useSyncExternalStore(onLanguage, () => i18next.language);
  return { t };
}
