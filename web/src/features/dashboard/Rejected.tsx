import { Link } from "react-router";
import { useOrdersQuery, useRemakeMutation } from "../../api/api";
import { problemText } from "../../api/problem";
import type { Order } from "../../api/types";
import { shortId, sizeTitle, title } from "../../labels";
import { useAppSelector } from "../../store";
import { formatTime } from "../../ui/age";
import { Button } from "../../ui/Button";
import { Cupcake } from "../../ui/Cupcake";
import { Notice } from "../../ui/Notice";
import styles from "./Trouble.module.css";
import { words } from "./words";

const [rows, refresh] = [8, 2000];

/** The orders that could not be made, each to be made again at a press. */
export function Rejected() {
  const { data, refetch } = useOrdersQuery({ status: "rejected", cursor: "", limit: rows }, { pollingInterval: refresh });
  return (
    <section className={styles.trouble} aria-labelledby="rejected">
      <h2 id="rejected">{words.rejectedOrders}</h2>
      {data?.orders.length === 0 && <p className={styles.none}>{words.noRejected}</p>}
      {data && data.orders.length > 0 && (
        <ul className={styles.list}>
          {data.orders.map((order) => (
            <RejectedOrder key={order.id} order={order} done={() => void refetch()} />
          ))}
        </ul>
      )}
      {data?.next && <p className={styles.none}>{words.more}</p>}
    </section>
  );
}

function RejectedOrder({ order, done }: { order: Order; done: () => void }) {
  const { name, role } = useAppSelector((state) => state.session);
  const [remake, { isLoading, error }] = useRemakeMutation();
  const last = order.history.at(-1);
  return (
    <li className={styles.item}>
      <Cupcake flavour={order.flavour} />
      <div className={styles.words}>
        <p>
          <Link to={`/order/${order.id}`}>{shortId(order.id)}</Link>, {order.quantity} × {order.flavour}, {sizeTitle(order.size).toLowerCase()}
        </p>
        <p className={styles.reason}>{order.reason}</p>
        {last && (
          <p className={styles.small}>
            {formatTime(last.on)} {words.at(title(last.stage), last.by)}
          </p>
        )}
      </div>
      {order.remadeAs ? (
        <p className={styles.remade}>
          {words.remadeAs} <Link to={`/order/${order.remadeAs}`}>{shortId(order.remadeAs)}</Link>
        </p>
      ) : (
        <Button
          look="main"
          idle={isLoading}
          aria-label={`${words.remake}: ${words.remakeOf(shortId(order.id))}`}
          onClick={() => void remake({ id: order.id, by: name || role || "manager" }).then(done)}
        >
          {words.remake}
        </Button>
      )}
      {error && <Notice>{problemText(error)}</Notice>}
    </li>
  );
}
