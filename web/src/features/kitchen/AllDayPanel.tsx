import { useMemo } from "react";
import type { Order } from "../../api/types";
import { useTranslation } from "../../i18n";
import { flavourTitle, sizeTitle } from "../../labels";
import styles from "./AllDayPanel.module.css";
import { allDay } from "./totals";

/** Totals of all waiting orders, so that one bowl or tray can serve several of them. */
export function AllDayPanel({ queue }: { queue: Order[] }) {
  const { t } = useTranslation();
  const { sizes, flavours, quantities, quantity } = useMemo(() => allDay(queue), [queue]);
  return (
    <section className={styles.panel} aria-label={t("kitchen.allDay")}>
      <table>
        <caption>{t("kitchen.allDayOf", { count: queue.length })}</caption>
        <thead>
          <tr>
            <th scope="col">{t("kitchen.flavour")}</th>
            {sizes.map((size) => <th key={size} scope="col"><abbr title={sizeTitle(size)}>{size}</abbr></th>)}
            <th scope="col">{t("kitchen.total")}</th>
          </tr>
        </thead>
        <tbody>
          {flavours.map((row) => (
            <tr key={row.flavour}>
              <th scope="row">{flavourTitle(row.flavour)}</th>
              {row.quantities.map((some, i) => <td key={sizes[i]} data-none={some === 0}>{some || "·"}</td>)}
              <td className={styles.total}>{row.quantity}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">{t("kitchen.total")}</th>
            {quantities.map((some, i) => <td key={sizes[i]}>{some}</td>)}
            <td className={styles.total}>{quantity}</td>
          </tr>
        </tfoot>
      </table>
    </section>
  );
}
