import { useTranslation } from "react-i18next";
import { Link } from "react-router";
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
        <Link to="/">{t("lost.back")}</Link>
      </p>
    </div>
  );
}
