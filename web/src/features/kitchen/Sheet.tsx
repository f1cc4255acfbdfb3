import { useEffect, useId, useRef, type ReactNode } from "react";
import { useTranslation } from "../../i18n";
import { Button } from "../../ui/Button";
import { Dialog } from "./Dialog";
import styles from "./Sheet.module.css";

/** A wide dialog with a title and a close button. */
export function Sheet({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const { t } = useTranslation();
  const heading = useId();
  // Focus the heading, so that reading starts at the top.
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
