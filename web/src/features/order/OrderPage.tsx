import { useEffect, useState } from "react";
import { Link, useParams } from "react-router";
import { isNotFound, problemText } from "../../api/problem";
import type { Order, Station } from "../../api/types";
import { shortId, sizeTitle, whereItIs } from "../../labels";
import { formatTime } from "../../ui/age";
import { Button } from "../../ui/Button";
import { Cupcake } from "../../ui/Cupcake";
import { Freshness } from "../../ui/Freshness";
import { Notice } from "../../ui/Notice";
import { useStations } from "../../useStations";
import { EstimateCard } from "./EstimateCard";
import { follow, type Followed } from "./follow";
import styles from "./OrderPage.module.css";
import { Progress } from "./Progress";
import { words } from "./words";

export function OrderPage() {
  const { id = "" } = useParams();
  const [attempt, setAttempt] = useState(0);
  const { order, error, asOf } = useFollowed(id, attempt);
  const { stations } = useStations();

  if (isNotFound(error)) return <UnknownOrder id={id} again={() => { setAttempt(attempt + 1); }} />;
  if (!order || !stations) {
    return (
      <>
        <title>Your order · eCupcakes</title>
        <h1>Your order</h1>
        {error ? <Notice>{problemText(error)} This page keeps trying.</Notice> : <p>Looking for your order…</p>}
      </>
    );
  }
  return <OrderStory order={order} stations={stations} away={error && problemText(error)} since={asOf} />;
}

/** What is known of the order now; another attempt starts afresh. */
function useFollowed(id: string, attempt: number): Followed {
  const [followed, setFollowed] = useState<Followed & { of?: string }>({});
  useEffect(() => {
    const controller = new AbortController();
    void follow(id, (now) => { setFollowed({ ...now, of: id }); }, controller.signal);
    return () => { controller.abort(); };
  }, [id, attempt]);
  return followed.of === id ? followed : {};
}

function OrderStory({ order, stations, away, since }: { order: Order; stations: Station[]; away: string | undefined; since: number | undefined }) {
  const heading = whereItIs(order, stations);
  return (
    <article className={styles.page} data-state={order.state}>
      <title>{`${heading} · eCupcakes`}</title>
      <div className={styles.hero}>
        <Cupcake flavour={order.flavour} className={styles.cupcake} />
        <div className={styles.words}>
          {!isFinished(order) && <Freshness state={away ? "offline" : "live"} since={away ? since : undefined} />}
          <h1>{heading}</h1>
          <p className={styles.what}>
            {order.quantity} × {order.flavour}, {sizeTitle(order.size).toLowerCase()}
          </p>
          <p className={styles.facts}>
            Order <b title={order.id}>{shortId(order.id)}</b>, placed at {formatTime(order.placedOn)}
          </p>
          {order.remakeOf && <p className={styles.facts}>{words.remakeOf}</p>}
        </div>
      </div>
      {away && <Notice tone="warn">{away} What you see here was true at {formatTime(since ?? order.placedOn)}; this page keeps trying.</Notice>}
      {order.state === "rejected" && (
        <div className={styles.reason} role="status">
          <h2>What went wrong</h2>
          <p>{order.reason}</p>
          {order.remadeAs && (
            <p>
              {words.remade} <Link to={`/order/${order.remadeAs}`}>{words.remadeLink}</Link>
            </p>
          )}
        </div>
      )}
      {!isFinished(order) && <EstimateCard order={order} away={away !== undefined} />}
      <section aria-labelledby="progress" className={styles.line}>
        <h2 id="progress">Along the line</h2>
        <Progress order={order} stations={stations} />
      </section>
      <p className={styles.again}>
        <Link to="/create">Order more cupcakes</Link>
        {!isFinished(order) && <span>{words.keep}</span>}
      </p>
      <p className={styles.announcement} aria-live="polite">
        {heading}
      </p>
    </article>
  );
}

function UnknownOrder({ id, again }: { id: string; again: () => void }) {
  return (
    <div className={styles.unknown}>
      <title>Unknown order · eCupcakes</title>
      <h1>We do not know this order</h1>
      <p>
        There is no order <b>{id}</b>. Check the address, or <Link to="/create">place an order</Link>.
      </p>
      <Button onClick={again}>Look again</Button>
    </div>
  );
}

function isFinished(order: Order): boolean {
  return order.state === "done" || order.state === "rejected";
}
