import { useState } from "react";
import { useTranslation } from "../i18n";
import { Icon } from "./Icon";
import styles from "./Layout.module.css";

type Theme = "light" | "dark";

/** Switches between the light and dark theme. The default is the system's; public/theme.js applies the choice on later loads. */
export function ThemeToggle() {
  const { t } = useTranslation();
  const [theme, setTheme] = useState(currentTheme);
  const other = theme === "dark" ? "light" : "dark";
  return (
    <button
      type="button"
      className={styles.round}
      aria-label={other === "dark" ? t("layout.themeDark") : t("layout.themeLight")}
      onClick={() => {
        setTheme(other);
        choose(other);
      }}
    >
      <Icon name={other === "dark" ? "moon" : "sun"} />
    </button>
  );
}

function currentTheme(): Theme {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function choose(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("ecupcakes.theme", theme);
  } catch {
    // Storage is refused: the choice lasts as long as the page.
  }
}
