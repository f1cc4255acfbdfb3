import { Link } from "wouter";
import { useOrdersQuery, useRemakeMutation } from "../../api/api";
import { problemText } from "../../api/problem";
import type { Order } from "../../api/types";
import { useTranslation } from "../../i18n";
import { flavourTitle, shortId, sizeTitle, stageTitle } from "../../labels";
import { useAppSelector } from "../../store";
import { formatTime } from "../../ui/age";
import { Button } from "../../ui/Button";
import { Cupcake } from "../../ui/Cupcake";
import { Notice } from "../../ui/Notice";
import styles from "./Trouble.module.css";

const [rows, refresh] = [8, 2000];

/** Lists rejected orders, each with a button to remake it. */
export function Rejected() {
  const { t } = useTranslation();
  const { data, refetch } = useOrdersQuery({ status: "rejected", cursor: "", limit: rows }, { pollingInterval: refresh });
  return (
    <section className={styles.trouble} aria-labelledby="rejected">
      <h2 id="rejected">{t("dashboard.rejectedOrders")}</h2>
      {data?.orders.length === 0 && <p className={styles.none}>{t("dashboard.noRejected")}</p>}
      {data && data.orders.length > 0 && (
        <ul className={styles.list}>
          {data.orders.map((order) => (
            <RejectedOrder key={order.id} order={order} done={() => void refetch()} />
          ))}
        </ul>
      )}
      {data?.next && <p className={styles.none}>{t("dashboard.moreRejected")}</p>}
    </section>
  );
}

function RejectedOrder({ order, done }: { order: Order; done: () => void }) {
  const { t } = useTranslation();
  const { name, role } = useAppSelector((state) => state.session);
  const [remake, { isLoading, error }] = useRemakeMutation();
  const last = order.history.at(-1);
  return (
    <li className={styles.item}>
      <Cupcake flavour={order.flavour} />
      <div className={styles.words}>
        <p>
          <Link href={`/order/${order.id}`}>{shortId(order.id)}</Link>, {order.quantity} × {flavourTitle(order.flavour)}, {sizeTitle(order.size).toLowerCase()}
        </p>
        <p className={styles.reason}>{order.reason}</p>
        {last && <p className={styles.small}>{t("dashboard.at", { time: formatTime(last.on), stage: stageTitle(last.stage), name: last.by })}</p>}
      </div>
      {order.remadeAs ? (
        <p className={styles.remade}>
          {t("dashboard.remadeAs")} <Link href={`/order/${order.remadeAs}`}>{shortId(order.remadeAs)}</Link>
        </p>
      ) : (
        <Button
          look="main"
          idle={isLoading}
          aria-label={t("dashboard.remakeOf", { id: shortId(order.id) })}
          onClick={() => void remake({ id: order.id, by: name || role || "manager" }).then(done)}
        >
          {t("dashboard.remake")}
        </Button>
      )}
      {error && <Notice>{problemText(error)}</Notice>}
    </li>
  );
}
