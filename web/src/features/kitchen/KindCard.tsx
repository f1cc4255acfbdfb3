import { memo } from "react";
import type { Station } from "../../api/types";
import { useTranslation } from "../../i18n";
import { actionLabel, doneWord, flavourTitle, shortId, sizeTitle } from "../../labels";
import { Age } from "../../ui/Age";
import { Button } from "../../ui/Button";
import { Icon } from "../../ui/Icon";
import { actionable, claimant, type Action } from "./actions";
import { CardHeader, type CardHandlers } from "./OrderCard";
import styles from "./OrderCard.module.css";
import { Pending } from "./Pending";
import type { VirtualItemProps } from "./Queue";
import type { Kind } from "./totals";

interface KindCardProps extends CardHandlers {
  kind: Kind;
  station: Station;
  by: string;
  pending: Partial<Record<string, Action>>;
  /** Accepted actions by order ID. */
  done: Partial<Record<string, unknown>>;
  fresh: boolean;
  selected: boolean;
  digit: number | undefined;
  itemProps: VirtualItemProps;
}

/** How many orders a card lists individually. */
const namedAtMost = 6;

/** A card for several orders of one flavour and size, which can be finished one by one or all at once. */
export const KindCard = memo(function KindCard({ kind, station, by, pending, done, fresh, selected, digit, itemProps, act, reject, undo }: KindCardProps) {
  const { t } = useTranslation();
  const { flavour, size, quantity, orders } = kind;
  const verb = actionLabel(station);
  const free = actionable(orders, by, pending, done);
  const [oldest] = free;
  const mine = oldest !== undefined && claimant(oldest, pending[oldest.id]) === by;
  const take = mine ? t("kitchen.giveBack") : t("kitchen.take");
  const step = { kind: "advance", verb: station.verb, done: station.done } as const;
  const held = orders.map(({ id }) => pending[id]).findLast((action) => action?.state === "held" && (action.work.kind === "advance" || action.work.kind === "reject"));
  const name = `${flavourTitle(flavour)}, ${sizeTitle(size)}`;
  return (
    <li {...itemProps} className={styles.card} data-fresh={fresh} data-selected={selected} data-stack="true" data-claim={held || oldest ? undefined : "other"} tabIndex={-1} aria-label={`${quantity} ${name}`}>
      <CardHeader flavour={flavour} size={size} quantity={quantity} digit={digit} />
      <p className={styles.facts}>
        {orders[0] && <Age since={orders[0].arrivedOn ?? orders[0].placedOn} at={station} />}
        {fresh && <span className={styles.new}>{t("kitchen.new")}</span>}
        <span className={styles.id}>{t("kitchen.orders", { count: orders.length })}</span>
      </p>
      <ul className={styles.inside}>
        {orders.slice(0, namedAtMost).map((order) => {
          const who = claimant(order, pending[order.id]);
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
