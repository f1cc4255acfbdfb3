import { Link } from "wouter";
import { useTranslation } from "../i18n";
import { Cupcake } from "./Cupcake";
import styles from "./NotFoundPage.module.css";

export function NotFoundPage() {
  const { t } = useTranslation();
  return (
    <div className={styles.page}>
      <title>{`${t("lost.title")} · eCupcakes`}</title>
      <Cupcake flavour="Vanilla" className={styles.cupcake} />
      <h1>{t("lost.heading")}</h1>
      <p>{t("lost.text")}</p>
      <p>
        <Link href="/">{t("lost.back")}</Link>
      </p>
    </div>
  );
}
