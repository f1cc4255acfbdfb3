import { Link } from "wouter";
import type { Order } from "../../api/types";
import { useTranslation } from "../../i18n";
import { doneWord, flavourTitle, shortId, sizeTitle, stageTitle, title } from "../../labels";
import { formatTime } from "../../ui/age";
import { Cupcake } from "../../ui/Cupcake";
import styles from "./OrderTable.module.css";

export function OrderTable({ orders }: { orders: Order[] }) {
  const { t } = useTranslation();
  if (orders.length === 0) return <p className={styles.none}>{t("dashboard.none")}</p>;
  return (
    // A wide table scrolls. The element needs a tabIndex to be scrollable by keyboard.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={styles.scroll} tabIndex={0} role="region" aria-label={t("dashboard.orders")}>
      <table className={styles.table}>
        <thead>
          <tr>
            <th scope="col">{t("dashboard.order")}</th>
            <th scope="col">{t("dashboard.what")}</th>
            <th scope="col">{t("dashboard.placed")}</th>
            <th scope="col">{t("dashboard.status")}</th>
            <th scope="col">{t("dashboard.nowAt")}</th>
            <th scope="col">{t("dashboard.lastBy")}</th>
          </tr>
        </thead>
        <tbody>
          {orders.map((order) => (
            <tr key={order.id}>
              <th scope="row">
                <Link href={`/order/${order.id}`}>{shortId(order.id)}</Link>
              </th>
              <td>
                <span className={styles.what}>
                  <Cupcake flavour={order.flavour} />
                  {order.quantity} × {flavourTitle(order.flavour)}, {sizeTitle(order.size).toLowerCase()}
                </span>
              </td>
              <td>{formatTime(order.placedOn)}</td>
              <td>
                <span className={styles.status} data-state={order.state}>
                  {title(doneWord(order.status))}
                </span>
              </td>
              <td>{order.stage ? stageTitle(order.stage) : (order.reason ?? "—")}</td>
              <td>{order.history.at(-1)?.by ?? "—"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
