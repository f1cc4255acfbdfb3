import { memo, useEffect, useState } from "react";
import type { Order, Station } from "../../api/types";
import { useTranslation } from "../../i18n";
import { actionLabel, doneWord, flavourTitle, shortId, sizeTitle, title } from "../../labels";
import { Age } from "../../ui/Age";
import { Button } from "../../ui/Button";
import { Cupcake } from "../../ui/Cupcake";
import { Icon } from "../../ui/Icon";
import { Notice } from "../../ui/Notice";
import { holder, type Action, type Done, type Work } from "./actions";
import styles from "./OrderCard.module.css";
import { Pending } from "./Pending";
import type { Place } from "./Queue";

/** What the cards of a station can ask for. */
export interface Doing {
  /** Does the same with each of the orders, as one thing that can be undone. */
  act: (orders: Order[], work: Work) => void;
  /** Asks why, and rejects it then. */
  reject: (order: Order) => void;
  undo: (batch: string) => void;
  /** Sends once more what was taken, but seems to have had no effect. */
  again: (done: Done) => void;
}

interface OrderCardProps extends Doing {
  order: Order;
  station: Station;
  by: string;
  /** What has not been answered yet. */
  action: Action | undefined;
  /** What was answered, although the order is still here. */
  done: Done | undefined;
  /** It has just come. */
  fresh: boolean;
  /** Whether the hub would tell that the order has left. */
  live: boolean;
  selected: boolean;
  /** The key that selects it. */
  digit: number | undefined;
  place: Place;
}

/** An order on a station's screen. It stays, at rest, until the hub says that the order has left. */
export const OrderCard = memo(function OrderCard({ order, station, by, action, done, fresh, live, selected, digit, place, ...doing }: OrderCardProps) {
  const { t } = useTranslation();
  const who = holder(order, action);
  const mine = who === by;
  const free = !who || mine; // What somebody else is on, the line lets nobody else do.
  const stuck = useElapsed(live ? done?.key : undefined, leavesWithin);
  const pending = action && action.work.kind !== "claim" && action.work.kind !== "release" ? action : undefined;
  const flavour = flavourTitle(order.flavour);
  const what = `${order.quantity} ${flavour}, ${shortId(order.id)}`;
  const verb = actionLabel(station);
  const wordOf = ({ work }: Pick<Done, "work">) => (work.kind === "reject" ? t("kitchen.rejected") : doneWord(station.done));
  return (
    <li
      {...place}
      className={styles.card}
      data-pending={pending !== undefined || (done !== undefined && !stuck)}
      data-claim={mine ? "mine" : free ? undefined : "other"}
      data-fresh={fresh}
      data-selected={selected}
      tabIndex={-1}
      aria-label={what}
    >
      {who && <Claim mine={mine} name={who} />}
      <Top flavour={order.flavour} size={order.size} quantity={order.quantity} digit={digit} />
      <p className={styles.facts}>
        <Age since={order.arrivedOn ?? order.placedOn} at={station} />
        {fresh && <span className={styles.new}>{t("kitchen.new")}</span>}
        <span className={styles.id}>
          <span aria-hidden="true">#</span>
          {shortId(order.id)}
        </span>
      </p>
      {stuck && done && !pending && (
        <Notice>
          <p>{t("kitchen.stuck")}</p>
          <Button onClick={() => { doing.again(done); }}>{t("kitchen.again")}</Button>
        </Notice>
      )}
      <div className={styles.bottom}>
        {pending ? (
          <Pending action={pending} word={wordOf(pending)} what={what} onUndo={doing.undo} />
        ) : done && !stuck ? (
          <p className={styles.gone}>
            <Icon name="check" />
            <b>{title(wordOf(done))}</b>
          </p>
        ) : (
          free ? (
            <div className={styles.actions}>
              <Button look="main" size="kitchen" aria-label={`${verb} ${what}`} onClick={() => { doing.act([order], { kind: "advance", verb: station.verb, done: station.done }); }}>
                {verb}
              </Button>
              <Button size="kitchen" aria-label={`${mine ? t("kitchen.giveBack") : t("kitchen.take")} ${what}`} onClick={() => { doing.act([order], { kind: mine ? "release" : "claim" }); }}>
                {mine ? t("kitchen.giveBack") : t("kitchen.take")}
              </Button>
              <Button look="danger" size="kitchen" aria-label={`${t("kitchen.reject")} ${what}`} onClick={() => { doing.reject(order); }}>
                {t("kitchen.reject")}
              </Button>
            </div>
          ) : (
            <p className={styles.theirs}>{t("kitchen.theirs", { name: who })}</p>
          )
        )}
      </div>
    </li>
  );
});

/** What is to be made, large enough to be read from the oven. */
export function Top({ flavour, size, quantity, digit }: { flavour: string; size: string; quantity: number; digit: number | undefined }) {
  return (
    <div className={styles.top}>
      <div>
        <h3>
          <span className={styles.quantity}>{quantity} ×</span> <span className={styles.size}>{sizeTitle(size)}</span> <span className={styles.flavour}>{flavourTitle(flavour)}</span>
        </h3>
      </div>
      <Cupcake flavour={flavour} className={styles.cupcake} />
      {digit !== undefined && <kbd className={styles.digit} aria-hidden="true">{digit}</kbd>}
    </div>
  );
}

function Claim({ mine, name }: { mine: boolean; name: string }) {
  const { t } = useTranslation();
  return (
    <p className={styles.claim} data-mine={mine}>
      <Icon name="person" /> <span>{mine ? t("kitchen.mine") : t("kitchen.claimed", { name })}</span>
    </p>
  );
}

/** After this many milliseconds, an order whose step was accepted should have left the screen. */
const leavesWithin = 10_000;

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
