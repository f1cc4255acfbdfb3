import { lazy, Suspense, useEffect } from "react";
import type { Station } from "../../api/types";
import { lazyFollowStation } from "../../hub/lazyStationFeed";
import { useTranslation } from "../../i18n";
import { actionLabel, doneWord, flavourTitle, reasonsAt, roleTitle, shortId, sizeTitle, title } from "../../labels";
import { loadOrReload } from "../../loadOrReload";
import { useAppDispatch, useAppSelector } from "../../store";
import { formatAge, formatTime, useNow } from "../../ui/age";
import { Cupcake } from "../../ui/Cupcake";
import { Freshness } from "../../ui/Freshness";
import { Icon } from "../../ui/Icon";
import { Notice } from "../../ui/Notice";
import { finishes } from "./actions";
import { Dock } from "./Dock";
import { KindCard } from "./KindCard";
import { OrderCard, type CardHandlers } from "./OrderCard";
import { selectDone, selectPending } from "./outboxSlice";
import { Queue, type VirtualItemProps } from "./Queue";
import { RejectDialog } from "./RejectDialog";
import { useWakeLock } from "./screen";
import styles from "./StationScreen.module.css";
import { Toolbar } from "./Toolbar";
import { useAlerts } from "./useAlerts";
import { useCommands } from "./useCommands";
import { useOutbox } from "./useOutbox";
import { opened, received, selectQueue, type Lag, type Link } from "./stationSlice";

// These are not part of the first view. They are loaded right after it, so that they work without a network.
const loadSheets = () => loadOrReload(() => import("./sheets"));
const AllDayPanel = lazy(async () => ({ default: (await loadSheets()).AllDayPanel }));
const Recall = lazy(async () => ({ default: (await loadSheets()).Recall }));
const KeysHelp = lazy(async () => ({ default: (await loadSheets()).KeysHelp }));

/** The kitchen screen of a station: its queue, toolbar and dialogs. */
export function StationScreen({ station }: { station: Station }) {
  const { t } = useTranslation();
  const { name } = useAppSelector((state) => state.session);
  const role = roleTitle(station.role);
  const by = name || title(station.role);
  useFeed(station, by);
  useWakeLock();
  useEffect(() => { void loadSheets(); }, []);
  const { link, behind } = useAppSelector((state) => state.station);
  const live = link.state === "live";
  const queue = useAppSelector(selectQueue);
  const pending = useAppSelector(selectPending);
  const done = useAppSelector(selectDone);
  const { fresh, late } = useAlerts(queue, link.state, station);
  const outbox = useOutbox(station, by, live);

  const { run, keys, combined, allDay, sheet, setSheet, rejecting, setRejecting, cards, ids, list, frame, selected } = useCommands({ station, by, queue, pending, done, outbox });
  const handlers: CardHandlers = { act: outbox.act, undo: outbox.undo, resend: outbox.again, reject: setRejecting };
  const common = (index: number, itemProps: VirtualItemProps) => ({ station, by, itemProps, selected: keys.used && ids[index] === selected, digit: keys.used && index < 9 ? index + 1 : undefined });
  const doneTo = doneWord(station.done);

  return (
    <div className={styles.page}>
      <title>{`${live ? `(${queue.length}) ` : ""}${role} · eCupcakes`}</title>
      <div className={styles.top}>
        <div>
          <h1>{name ? t("kitchen.heyName", { role, name }) : t("kitchen.hey", { role })}</h1>
          <h2>
            {t("kitchen.queue", { done: doneTo })} <b>{live || queue.length > 0 ? queue.length : "…"}</b>
            {fresh.size > 0 && <span className={styles.fresh}>{t("kitchen.newOnes", { count: fresh.size })}</span>}
            {late > 0 && (
              <span className={styles.late}>
                <Icon name="bell" /> {t("kitchen.lateOnes", { count: late })}
              </span>
            )}
          </h2>
        </div>
        <Freshness state={link.state} since={"since" in link ? link.since : undefined} behind={behind} />
        <Toolbar
          allDay={allDay}
          combined={combined}
          onAllDay={() => { run({ do: "allDay" }); }}
          onCombine={() => { run({ do: "combine" }); }}
          onRecall={() => { run({ do: "recall" }); }}
          onHelp={() => { run({ do: "help" }); }}
        />
      </div>
      <ConnectionNotice link={link} behind={behind} empty={queue.length === 0} />
      <div className={styles.work} data-beside={allDay && queue.length > 0}>
        {allDay && queue.length > 0 && (
          <Suspense>
            <AllDayPanel queue={queue} />
          </Suspense>
        )}
        <div ref={frame} className={styles.queue}>
          <Queue
            ref={list}
            ids={ids}
            label={t("kitchen.queue", { done: doneTo })}
            stale={!live || behind !== undefined}
            card={(index, itemProps) => {
              const kind = cards?.[index];
              const order = kind ? kind.orders[0] : queue[index];
              if (kind && kind.orders.length > 1) return <KindCard {...common(index, itemProps)} {...handlers} kind={kind} pending={pending} done={done} fresh={kind.orders.some(({ id }) => fresh.has(id))} />;
              return order && <OrderCard {...common(index, itemProps)} {...handlers} order={order} action={pending[order.id]} done={done[order.id]} fresh={fresh.has(order.id)} live={live} />;
            }}
          />
        </div>
      </div>
      {live && !behind && queue.length === 0 && (
        <div className={styles.empty}>
          <Cupcake flavour="Vanilla" />
          <p>{t("kitchen.empty", { done: doneTo })}</p>
        </div>
      )}
      <Dock />
      <Suspense>
        {sheet === "recall" && <Recall station={station} onReject={setRejecting} onUndo={outbox.undo} onClose={() => { setSheet(undefined); }} />}
        {sheet === "keys" && <KeysHelp on={keys.on} action={actionLabel(station)} onToggle={keys.toggle} onClose={() => { setSheet(undefined); }} />}
      </Suspense>
      {rejecting && (
        <RejectDialog
          order={rejecting}
          reasons={reasonsAt(rejecting.stage ?? station.stage)}
          onClose={() => { setRejecting(undefined); }}
          onReject={(reason) => { outbox.act([rejecting], { kind: "reject", reason }); }}
        />
      )}
      <NewOrderAnnouncement />
      <UndoAnnouncement stage={station.stage} done={doneTo} />
    </div>
  );
}

function useFeed(station: Station, person: string): void {
  const dispatch = useAppDispatch();
  const { topic, event, role } = station;
  useEffect(() => {
    dispatch(opened());
    return lazyFollowStation({ topic, event, role, person }, (events) => dispatch(received(events)));
  }, [dispatch, topic, event, role, person]);
}

function ConnectionNotice({ link, behind, empty }: { link: Link; behind: Lag | undefined; empty: boolean }) {
  const { t } = useTranslation();
  if ("since" in link) {
    return (
      <Notice tone={link.state === "offline" ? "bad" : "warn"}>
        {t("kitchen.offline")} {!empty && t("kitchen.asOf", { time: formatTime(link.since) })} {t("kitchen.keeps")}
      </Notice>
    );
  }
  return behind ? <BehindNotice behind={behind} /> : null;
}

function BehindNotice({ behind }: { behind: Lag }) {
  const { t } = useTranslation();
  const age = formatAge(useNow() - behind.since);
  return <Notice tone="warn">{t("kitchen.behind", { age })}</Notice>;
}

/** Announces to screen readers the action that can be undone. */
function UndoAnnouncement({ stage, done }: Pick<Station, "stage" | "done">) {
  const { t } = useTranslation();
  const held = useAppSelector(({ outbox }) => outbox.actions.findLast((action) => action.stage === stage && action.state === "held" && finishes(action.work)));
  return (
    <p className={styles.news} role="status">
      {held && `${title(held.work.kind === "reject" ? t("kitchen.rejected") : done)}: ${held.order.quantity} ${flavourTitle(held.order.flavour)}, ${shortId(held.order.id)}. ${t("kitchen.undo")}: U`}
    </p>
  );
}

/** Announces new orders to screen readers. */
function NewOrderAnnouncement() {
  const { t } = useTranslation();
  const { last } = useAppSelector((state) => state.station.newOrders);
  return (
    <p className={styles.news} aria-live="polite">
      {last &&
        t("kitchen.news", { id: shortId(last.id), quantity: last.quantity, flavour: flavourTitle(last.flavour), size: sizeTitle(last.size) })}
    </p>
  );
}
