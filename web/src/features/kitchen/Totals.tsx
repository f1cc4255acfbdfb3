import { useId, useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { Order } from "../../api/types";
import { flavourTitle, sizeTitle } from "../../labels";
import styles from "./Totals.module.css";
import { totals } from "./sums";

/** What all waiting orders come to, so that one bowl or one tray can be for several of them. */
export function Totals({ queue }: { queue: Order[] }) {
  const { t } = useTranslation();
  const heading = useId();
  const kinds = useMemo(() => totals(queue), [queue]);
  return (
    <section className={styles.totals} aria-labelledby={heading}>
      <h3 id={heading}>{t("kitchen.totals")}</h3>
      <ul>
        {kinds.map(({ flavour, size, quantity }) => (
          <li key={`${flavour} ${size}`}>
            <b>{quantity} ×</b> {flavourTitle(flavour)}, {sizeTitle(size).toLowerCase()}
          </li>
        ))}
      </ul>
    </section>
  );
}
