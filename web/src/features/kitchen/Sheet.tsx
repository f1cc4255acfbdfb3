import { useEffect, useId, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "../../ui/Button";
import styles from "./Sheet.module.css";

/** Something to look at over the page, until it is closed. */
export function Sheet({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const { t } = useTranslation();
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => { dialog.current?.showModal(); }, []);
  return (
    <dialog ref={dialog} className={styles.sheet} aria-labelledby={heading} onClose={onClose}>
      <div className={styles.inside}>
        <h2 id={heading}>{title}</h2>
        {children}
        <Button size="kitchen" onClick={() => dialog.current?.close()}>{t("kitchen.close")}</Button>
      </div>
    </dialog>
  );
}
