import { memo, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAdvanceMutation, useHoldMutation, useRejectMutation } from "../../api/api";
import { useIdempotencyKey } from "../../api/idempotency";
import { problemText } from "../../api/problem";
import type { Order, Station } from "../../api/types";
import { actionLabel, flavourTitle, reasonsAt, shortId, sizeTitle } from "../../labels";
import { Age } from "../../ui/Age";
import { Button } from "../../ui/Button";
import { Cupcake } from "../../ui/Cupcake";
import { Icon } from "../../ui/Icon";
import { Notice } from "../../ui/Notice";
import styles from "./OrderCard.module.css";
import { RejectDialog } from "./RejectDialog";

interface OrderCardProps {
  order: Order;
  station: Station;
  by: string;
  /** The list may be out of date, so nothing can be done with it. */
  stale: boolean;
}

/** What a worker does with an order: moves it on, or rejects it for a reason. */
type Work = { kind: "advance" } | { kind: "reject"; reason: string };

/** An order on a station's screen. It stays, at rest, until the hub says that the order has left. */
export const OrderCard = memo(function OrderCard({ order, station, by, stale }: OrderCardProps) {
  const { t } = useTranslation();
  const { work, pending, problem, run } = useWork(order, station, by);
  const [asking, setAsking] = useState(false);
  const idle = stale || pending;
  const mine = order.claimedBy === by;
  const free = !order.claimedBy || mine; // What somebody else is on, the line lets nobody else do.
  const flavour = flavourTitle(order.flavour);
  const action = actionLabel(station);
  const what = `${order.quantity} ${flavour}, ${shortId(order.id)}`;
  return (
    <li className={styles.card} data-pending={pending} data-claim={mine ? "mine" : free ? undefined : "other"} aria-busy={pending} tabIndex={-1} aria-label={what}>
      <div className={styles.top}>
        <div>
          <h3>
            <span className={styles.quantity}>{order.quantity} ×</span> {flavour}
          </h3>
          <p className={styles.size}>{sizeTitle(order.size)}</p>
        </div>
        <Cupcake flavour={order.flavour} className={styles.cupcake} />
      </div>
      <p className={styles.facts}>
        <Age since={order.arrivedOn ?? order.placedOn} at={station} />
        <span className={styles.id}>
          <span aria-hidden="true">#</span>
          {shortId(order.id)}
        </span>
        {order.claimedBy && (
          <span className={styles.claim}>
            <Icon name="person" /> {mine ? t("kitchen.mine") : t("kitchen.claimed", { name: order.claimedBy })}
          </span>
        )}
      </p>
      {problem && work && (
        <Notice>
          <p>{problem}</p>
          <Button idle={stale} onClick={() => { run(work); }}>
            {t("kitchen.again")}
          </Button>
        </Notice>
      )}
      {free && (
        <div className={styles.actions}>
          <Button look="main" size="kitchen" idle={idle} aria-label={`${action} ${what}`} onClick={() => { run({ kind: "advance" }); }}>
            {pending ? "…" : action}
          </Button>
          <Button look="danger" size="kitchen" idle={idle} aria-label={`${t("kitchen.reject")} ${what}`} onClick={() => { setAsking(true); }}>
            {t("kitchen.reject")}
          </Button>
          <Hold order={order} by={by} mine={mine} what={what} idle={idle} />
        </div>
      )}
      {asking && (
        <RejectDialog
          order={order}
          reasons={reasonsAt(station.stage)}
          onClose={() => { setAsking(false); }}
          onReject={(reason) => { run({ kind: "reject", reason }); }}
        />
      )}
    </li>
  );
});

/** Takes the order on, or gives it back. */
function Hold({ order, by, mine, what, idle }: { order: Order; by: string; mine: boolean; what: string; idle: boolean }) {
  const { t } = useTranslation();
  const [hold, { isLoading, error }] = useHoldMutation();
  const words = mine ? t("kitchen.giveBack") : t("kitchen.take");
  return (
    <>
      <span className={styles.hold}>
        <Button
          size="kitchen"
          idle={idle || isLoading}
          aria-label={`${words} ${what}`}
          onClick={() => void hold({ id: order.id, by, how: mine ? "release" : "claim" })}
        >
          {words}
        </Button>
      </span>
      {error && (
        <span className={styles.hold}>
          <Notice>{problemText(error)}</Notice>
        </span>
      )}
    </>
  );
}

/** After this many milliseconds, an order whose step was accepted should have left the screen. */
const leavesWithin = 10_000;

/** Does the work on one order. It is pending from the press of the button until the card goes away or something fails. */
function useWork(order: Order, station: Station, by: string) {
  const { t } = useTranslation();
  const [advance, advancing] = useAdvanceMutation();
  const [reject, rejecting] = useRejectMutation();
  const [work, setWork] = useState<Work>();
  const keyFor = useIdempotencyKey();
  const call = work?.kind === "reject" ? rejecting : advancing;
  const stuck = useElapsed(call.isSuccess ? call.requestId : undefined, leavesWithin);

  const run = (next: Work) => {
    setWork(next);
    const key = keyFor({ ...next, by });
    if (next.kind === "reject") void reject({ id: order.id, by, reason: next.reason, key });
    else void advance({ id: order.id, by, station, key });
  };
  const problem = call.error
    ? problemText(call.error)
    : stuck
      ? t("kitchen.stuck")
      : undefined;
  return { work, pending: call.isLoading || (call.isSuccess && !stuck), problem, run };
}

/** Tells whether some time has passed since event took its present value. */
function useElapsed(event: string | undefined, milliseconds: number): boolean {
  const [elapsed, setElapsed] = useState<string>();
  useEffect(() => {
    if (event === undefined) return;
    const timer = setTimeout(() => { setElapsed(event); }, milliseconds);
    return () => { clearTimeout(timer); };
  }, [event, milliseconds]);
  return event !== undefined && event === elapsed;
}
