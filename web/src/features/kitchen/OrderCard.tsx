import { memo, useEffect, useState } from "react";
import type { Order, Station } from "../../api/types";
import { useTranslation } from "../../i18n";
import { actionLabel, doneWord, flavourTitle, shortId, sizeTitle, title } from "../../labels";
import { Age } from "../../ui/Age";
import { Button } from "../../ui/Button";
import { Cupcake } from "../../ui/Cupcake";
import { Icon } from "../../ui/Icon";
import { Notice } from "../../ui/Notice";
import { claimant, type Action, type Done, type Operation } from "./actions";
import styles from "./OrderCard.module.css";
import { Pending } from "./Pending";
import type { VirtualItemProps } from "./Queue";

/** Callbacks of the cards. */
export interface CardHandlers {
  /** Applies an operation to all orders as one batch, which is undone as a whole. */
  act: (orders: Order[], work: Operation) => void;
  /** Opens the dialog that asks for the reason. */
  reject: (order: Order) => void;
  undo: (batch: string) => void;
  /** Sends an accepted action again if the order has not left the screen. */
  resend: (done: Done) => void;
}

interface OrderCardProps extends CardHandlers {
  order: Order;
  station: Station;
  by: string;
  /** The unanswered action on this order. */
  action: Action | undefined;
  /** The accepted action, if the order is still on the screen. */
  done: Done | undefined;
  /** Whether the order has just arrived. */
  fresh: boolean;
  /** Whether the hub is connected and would report that the order has left. */
  live: boolean;
  selected: boolean;
  /** The digit key that selects the card. */
  digit: number | undefined;
  itemProps: VirtualItemProps;
}

/** The card of an order. It stays, disabled, until the hub reports that the order has left. */
export const OrderCard = memo(function OrderCard({ order, station, by, action, done, fresh, live, selected, digit, itemProps, ...handlers }: OrderCardProps) {
  const { t } = useTranslation();
  const who = claimant(order, action);
  const mine = who === by;
  const free = !who || mine; // The server refuses steps on orders that somebody else has claimed.
  const stuck = useElapsed(live ? done?.key : undefined, leavesWithin);
  const pending = action && action.work.kind !== "claim" && action.work.kind !== "release" ? action : undefined;
  const flavour = flavourTitle(order.flavour);
  const what = `${order.quantity} ${flavour}, ${shortId(order.id)}`;
  const verb = actionLabel(station);
  const wordOf = ({ work }: Pick<Done, "work">) => (work.kind === "reject" ? t("kitchen.rejected") : doneWord(station.done));
  return (
    <li
      {...itemProps}
      className={styles.card}
      data-pending={pending !== undefined || (done !== undefined && !stuck)}
      data-claim={mine ? "mine" : free ? undefined : "other"}
      data-fresh={fresh}
      data-selected={selected}
      tabIndex={-1}
      aria-label={what}
    >
      {who && <Claim mine={mine} name={who} />}
      <CardHeader flavour={order.flavour} size={order.size} quantity={order.quantity} digit={digit} />
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
          <Button onClick={() => { handlers.resend(done); }}>{t("kitchen.again")}</Button>
        </Notice>
      )}
      <div className={styles.bottom}>
        {pending ? (
          <Pending action={pending} word={wordOf(pending)} what={what} onUndo={handlers.undo} />
        ) : done && !stuck ? (
          <p className={styles.gone}>
            <Icon name="check" />
            <b>{title(wordOf(done))}</b>
          </p>
        ) : (
          free ? (
            <div className={styles.actions}>
              <Button look="main" size="kitchen" aria-label={`${verb} ${what}`} onClick={() => { handlers.act([order], { kind: "advance", verb: station.verb, done: station.done }); }}>
                {verb}
              </Button>
              <Button size="kitchen" aria-label={`${mine ? t("kitchen.giveBack") : t("kitchen.take")} ${what}`} onClick={() => { handlers.act([order], { kind: mine ? "release" : "claim" }); }}>
                {mine ? t("kitchen.giveBack") : t("kitchen.take")}
              </Button>
              <Button look="danger" size="kitchen" aria-label={`${t("kitchen.reject")} ${what}`} onClick={() => { handlers.reject(order); }}>
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

/** Quantity, size and flavour, large enough to read from a distance. */
export function CardHeader({ flavour, size, quantity, digit }: { flavour: string; size: string; quantity: number; digit: number | undefined }) {
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

/** How long an order may stay on the screen after its step was accepted, in milliseconds. */
const leavesWithin = 10_000;

/** Reports whether event has kept its value for the given time. */
function useElapsed(event: string | undefined, milliseconds: number): boolean {
  const [elapsed, setElapsed] = useState<string>();
  useEffect(() => {
    if (event === undefined) return;
    const timer = setTimeout(() => { setElapsed(event); }, milliseconds);
    return () => { clearTimeout(timer); };
  }, [event, milliseconds]);
  return event !== undefined && event === elapsed;
}
