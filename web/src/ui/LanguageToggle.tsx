import { chooseLanguage, otherLanguage, useTranslation } from "../i18n";
import styles from "./Layout.module.css";

/** Switches to the other language, which is named in that language. */
export function LanguageToggle() {
  const { t } = useTranslation();
  const other = otherLanguage();
  return (
    <button type="button" className={styles.round} lang={other} aria-label={`${other.toUpperCase()}, ${t("otherLanguage")}`} onClick={() => { chooseLanguage(other).catch(() => undefined); }}>
      {other.toUpperCase()}
    </button>
  );
}
