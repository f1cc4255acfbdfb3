import { useEffect, useState } from "react";
import { Link } from "wouter";
import { isNotFound, problemText } from "../../api/problem";
import type { Order, Station } from "../../api/types";
import { useTranslation } from "../../i18n";
import { flavourTitle, shortId, sizeTitle, whereItIs } from "../../labels";
import { formatTime } from "../../ui/age";
import { Button } from "../../ui/Button";
import { Cupcake } from "../../ui/Cupcake";
import { Freshness } from "../../ui/Freshness";
import { Notice } from "../../ui/Notice";
import { useLag, useStations } from "../../useStations";
import { EstimateCard } from "./EstimateCard";
import { follow, type FollowedOrder } from "./follow";
import styles from "./OrderPage.module.css";
import { Progress } from "./Progress";

/** Polling interval of the server's lag, in milliseconds. */
const freshEvery = 5000;

export default function OrderPage({ id }: { id: string }) {
  const { t } = useTranslation();
  const [attempt, setAttempt] = useState(0);
  const { order, error, asOf } = useFollowed(id, attempt);
  const { stations } = useStations();

  if (isNotFound(error)) return <UnknownOrder id={id} again={() => { setAttempt(attempt + 1); }} />;
  if (!order || !stations) {
    return (
      <>
        <title>{`${t("order.title")} · eCupcakes`}</title>
        <h1>{t("order.title")}</h1>
        {error ? <Notice>{problemText(error)} {t("trouble.keepsTrying")}</Notice> : <p>{t("order.looking")}</p>}
      </>
    );
  }
  return <OrderStory order={order} stations={stations} away={error && problemText(error)} since={asOf} />;
}

/** Returns the followed order; a new attempt starts over. */
function useFollowed(id: string, attempt: number): FollowedOrder {
  const [followed, setFollowed] = useState<FollowedOrder & { of?: string }>({});
  useEffect(() => {
    const controller = new AbortController();
    void follow(id, (now) => { setFollowed({ ...now, of: id }); }, controller.signal);
    return () => { controller.abort(); };
  }, [id, attempt]);
  return followed.of === id ? followed : {};
}

function OrderStory({ order, stations, away, since }: { order: Order; stations: Station[]; away: string | undefined; since: number | undefined }) {
  const { t } = useTranslation();
  const heading = whereItIs(order, stations);
  const behind = useLag(isFinished(order) ? undefined : freshEvery);
  return (
    <article className={styles.page} data-state={order.state}>
      <title>{`${heading} · eCupcakes`}</title>
      <div className={styles.hero}>
        <Cupcake flavour={order.flavour} className={styles.cupcake} />
        <div className={styles.words}>
          {!isFinished(order) && <Freshness state={away ? "offline" : "live"} since={away ? since : undefined} behind={behind} />}
          <h1>{heading}</h1>
          <p className={styles.what}>
            {order.quantity} × {flavourTitle(order.flavour)}, {sizeTitle(order.size).toLowerCase()}
          </p>
          <p className={styles.facts}>
            {t("order.order")} <b title={order.id}>{shortId(order.id)}</b>, {t("order.placedAt", { time: formatTime(order.placedOn) })}
          </p>
          {order.remakeOf && <p className={styles.facts}>{t("order.remakeOf")}</p>}
        </div>
      </div>
      {away && <Notice tone="warn">{away} {t("order.stale", { time: formatTime(since ?? order.placedOn) })}</Notice>}
      {order.state === "rejected" && (
        <div className={styles.reason} role="status">
          <h2>{t("order.wrong")}</h2>
          <p>{order.reason}</p>
          {order.remadeAs && (
            <p>
              {t("order.remade")} <Link href={`/order/${order.remadeAs}`}>{t("order.remadeLink")}</Link>
            </p>
          )}
        </div>
      )}
      {!isFinished(order) && <EstimateCard order={order} away={away !== undefined || behind !== undefined} />}
      <section aria-labelledby="progress" className={styles.line}>
        <h2 id="progress">{t("order.line")}</h2>
        <Progress order={order} stations={stations} />
      </section>
      <p className={styles.again}>
        <Link href="/create">{t("order.more")}</Link>
        {!isFinished(order) && <span>{t("order.keep")}</span>}
      </p>
      <p className={styles.announcement} aria-live="polite">
        {heading}
      </p>
    </article>
  );
}

function UnknownOrder({ id, again }: { id: string; again: () => void }) {
  const { t } = useTranslation();
  return (
    <div className={styles.unknown}>
      <title>{`${t("order.unknownTitle")} · eCupcakes`}</title>
      <h1>{t("order.unknown")}</h1>
      <p>
        {t("order.unknownText")} <b>{id}</b>. {t("order.check")} <Link href="/create">{t("order.place")}</Link>.
      </p>
      <Button onClick={again}>{t("order.lookAgain")}</Button>
    </div>
  );
}

function isFinished(order: Order): boolean {
  return order.state === "done" || order.state === "rejected";
}
