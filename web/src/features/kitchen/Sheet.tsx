import { useEffect, useId, useRef, type ReactNode } from "react";
import { useTranslation } from "../../i18n";
import { Button } from "../../ui/Button";
import { Dialog } from "./Dialog";
import styles from "./Sheet.module.css";

/** Something to look at over the page, until it is closed. */
export function Sheet({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const { t } = useTranslation();
  const heading = useId();
  // The focus begins at the top, so that what is first is seen and read first.
  const top = useRef<HTMLHeadingElement>(null);
  useEffect(() => { top.current?.focus(); }, []);
  return (
    <Dialog heading={heading} wide onClose={onClose}>
      <div>
        <h2 ref={top} id={heading} tabIndex={-1} className={styles.heading}>{title}</h2>
        {children}
        <Button size="kitchen" onClick={onClose}>{t("kitchen.close")}</Button>
      </div>
    </Dialog>
  );
}
