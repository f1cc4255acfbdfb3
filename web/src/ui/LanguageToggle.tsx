import { choose, otherLanguage, useTranslation } from "../i18n";
import styles from "./Layout.module.css";

/** Switches to the other language. Its name is written in itself, for those who look for it. */
export function LanguageToggle() {
  const { t } = useTranslation();
  const other = otherLanguage();
  return (
    <button type="button" className={styles.round} lang={other} aria-label={`${other.toUpperCase()}, ${t("otherLanguage")}`} onClick={() => { choose(other).catch(() => undefined); }}>
      {other.toUpperCase()}
    </button>
  );
}
