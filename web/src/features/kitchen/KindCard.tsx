import { memo } from "react";
import type { Order, Station } from "../../api/types";
import { useTranslation } from "../../i18n";
import { actionLabel, doneWord, flavourTitle, shortId, sizeTitle } from "../../labels";
import { Age } from "../../ui/Age";
import { Button } from "../../ui/Button";
import { Icon } from "../../ui/Icon";
import { holder, type Action } from "./actions";
import { Top, type Doing } from "./OrderCard";
import styles from "./OrderCard.module.css";
import { Pending } from "./Pending";
import type { Place } from "./Queue";
import type { Kind } from "./totals";

interface KindCardProps extends Doing {
  kind: Kind;
  station: Station;
  by: string;
  pending: Partial<Record<string, Action>>;
  /** What the line has taken already. */
  done: Partial<Record<string, unknown>>;
  fresh: boolean;
  selected: boolean;
  digit: number | undefined;
  place: Place;
}

/** As many orders as a card names one by one. */
const namedAtMost = 6;

/** The orders of a kind that can be done now, oldest first: nobody else is on them, and nothing is under way with them. */
export function doable(orders: Order[], by: string, pending: Partial<Record<string, Action>>, done: Partial<Record<string, unknown>>): Order[] {
  return orders.filter((order) => {
    const action = pending[order.id];
    const who = holder(order, action);
    return (!who || who === by) && !done[order.id] && (!action || action.work.kind === "claim" || action.work.kind === "release");
  });
}

/** The orders of one flavour and size, if there are several, to be made together and finished one by one or all at once. */
export const KindCard = memo(function KindCard({ kind, station, by, pending, done, fresh, selected, digit, place, act, reject, undo }: KindCardProps) {
  const { t } = useTranslation();
  const { flavour, size, quantity, orders } = kind;
  const verb = actionLabel(station);
  const free = doable(orders, by, pending, done);
  const [oldest] = free;
  const mine = oldest !== undefined && holder(oldest, pending[oldest.id]) === by;
  const take = mine ? t("kitchen.giveBack") : t("kitchen.take");
  const step = { kind: "advance", verb: station.verb, done: station.done } as const;
  const held = orders.map(({ id }) => pending[id]).findLast((action) => action?.state === "held" && (action.work.kind === "advance" || action.work.kind === "reject"));
  const name = `${flavourTitle(flavour)}, ${sizeTitle(size)}`;
  return (
    <li {...place} className={styles.card} data-fresh={fresh} data-selected={selected} data-stack="true" data-claim={held || oldest ? undefined : "other"} tabIndex={-1} aria-label={`${quantity} ${name}`}>
      <Top flavour={flavour} size={size} quantity={quantity} digit={digit} />
      <p className={styles.facts}>
        {orders[0] && <Age since={orders[0].arrivedOn ?? orders[0].placedOn} at={station} />}
        {fresh && <span className={styles.new}>{t("kitchen.new")}</span>}
        <span className={styles.id}>{t("kitchen.orders", { count: orders.length })}</span>
      </p>
      <ul className={styles.inside}>
        {orders.slice(0, namedAtMost).map((order) => {
          const who = holder(order, pending[order.id]);
          return (
            <li key={order.id} data-busy={!free.includes(order)}>
              <b>{order.quantity} ×</b> {shortId(order.id)}
              {who && (
                <>
                  {" "}
                  <Icon name="person" /> {who}
                </>
              )}
            </li>
          );
        })}
        {orders.length > namedAtMost && <li>{t("kitchen.more", { count: orders.length - namedAtMost })}</li>}
      </ul>
      <div className={styles.bottom}>
        {held ? (
          <Pending action={held} word={held.work.kind === "reject" ? t("kitchen.rejected") : doneWord(station.done)} what={name} onUndo={undo} />
        ) : (
          oldest && (
            <div className={styles.actions}>
              {free.length > 1 && (
                <Button look="main" size="kitchen" aria-label={`${t("kitchen.all", { verb, count: free.length })} ${name}`} onClick={() => { act(free, step); }}>
                  {t("kitchen.all", { verb, count: free.length })}
                </Button>
              )}
              <span className={styles.wide}>
                <Button size="kitchen" look={free.length > 1 ? "plain" : "main"} aria-label={`${verb} ${oldest.quantity} × ${shortId(oldest.id)}, ${name}`} onClick={() => { act([oldest], step); }}>
                  {verb} {oldest.quantity} × {shortId(oldest.id)}
                </Button>
              </span>
              <Button size="kitchen" aria-label={`${take} ${oldest.quantity} × ${shortId(oldest.id)}, ${name}`} onClick={() => { act([oldest], { kind: mine ? "release" : "claim" }); }}>
                {take}
              </Button>
              <Button look="danger" size="kitchen" aria-label={`${t("kitchen.reject")} ${oldest.quantity} × ${shortId(oldest.id)}, ${name}`} onClick={() => { reject(oldest); }}>
                {t("kitchen.reject")}
              </Button>
            </div>
          )
        )}
      </div>
    </li>
  );
});
