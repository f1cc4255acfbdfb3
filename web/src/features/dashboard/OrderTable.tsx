import { Link } from "react-router";
import type { Order } from "../../api/types";
import { shortId, sizeTitle, title } from "../../labels";
import { formatTime } from "../../ui/age";
import { Cupcake } from "../../ui/Cupcake";
import styles from "./OrderTable.module.css";

export function OrderTable({ orders }: { orders: Order[] }) {
  if (orders.length === 0) return <p className={styles.none}>There are no such orders.</p>;
  return (
    // A table that is too wide scrolls by itself; the keyboard can do that only if it can get there.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={styles.scroll} tabIndex={0} role="region" aria-label="Table of orders">
      <table className={styles.table}>
        <thead>
          <tr>
            <th scope="col">Order</th>
            <th scope="col">What</th>
            <th scope="col">Placed</th>
            <th scope="col">Status</th>
            <th scope="col">Now at</th>
            <th scope="col">Last by</th>
          </tr>
        </thead>
        <tbody>
          {orders.map((order) => (
            <tr key={order.id}>
              <th scope="row">
                <Link to={`/order/${order.id}`}>{shortId(order.id)}</Link>
              </th>
              <td>
                <span className={styles.what}>
                  <Cupcake flavour={order.flavour} />
                  {order.quantity} × {order.flavour}, {sizeTitle(order.size).toLowerCase()}
                </span>
              </td>
              <td>{formatTime(order.placedOn)}</td>
              <td>
                <span className={styles.status} data-state={order.state}>
                  {title(order.status)}
                </span>
              </td>
              <td>{order.stage ? title(order.stage) : (order.reason ?? "—")}</td>
              <td>{order.history.at(-1)?.by ?? "—"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
