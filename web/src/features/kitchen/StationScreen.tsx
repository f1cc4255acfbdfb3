import { lazy, Suspense, useEffect, useMemo, useState } from "react";
import type { Order, Station } from "../../api/types";
import { laterStation } from "../../hub/laterStation";
import { useTranslation } from "../../i18n";
import { actionLabel, doneWord, flavourTitle, reasonsAt, roleTitle, shortId, sizeTitle, title } from "../../labels";
import { later } from "../../later";
import { useAppDispatch, useAppSelector } from "../../store";
import { formatAge, formatTime, useNow } from "../../ui/age";
import { Cupcake } from "../../ui/Cupcake";
import { Freshness } from "../../ui/Freshness";
import { Icon } from "../../ui/Icon";
import { Notice } from "../../ui/Notice";
import { finishes, holder } from "./actions";
import { read, write } from "./device";
import { Dock } from "./Dock";
import { moved, type Command } from "./keys";
import { doable, KindCard } from "./KindCard";
import { OrderCard } from "./OrderCard";
import { selectDone, selectPending } from "./outboxSlice";
import { Queue, type Place } from "./Queue";
import { RejectDialog } from "./RejectDialog";
import { toggleFullScreen, useAwake } from "./screen";
import { toggleSound } from "./sound";
import styles from "./StationScreen.module.css";
import { kinds } from "./totals";
import { Toolbar } from "./Toolbar";
import { useKeys } from "./useKeys";
import { useNoticed } from "./useNoticed";
import { useOutbox } from "./useOutbox";
import { useSelection } from "./useSelection";
import { opened, received, selectQueue, type Behind, type Link } from "./stationSlice";

// What is not needed to begin with; it is fetched right after, so that it is there when the network is not.
const loadSheets = () => later(() => import("./sheets"));
const AllDayPanel = lazy(async () => ({ default: (await loadSheets()).AllDayPanel }));
const Recall = lazy(async () => ({ default: (await loadSheets()).Recall }));
const KeysHelp = lazy(async () => ({ default: (await loadSheets()).KeysHelp }));

/** A station's queue, and all that can be done with it. */
export function StationScreen({ station }: { station: Station }) {
  const { t } = useTranslation();
  const { name } = useAppSelector((state) => state.session);
  const role = roleTitle(station.role);
  const by = name || title(station.role);
  useFeed(station, by);
  useAwake();
  useEffect(() => { void loadSheets(); }, []);
  const { link, behind } = useAppSelector((state) => state.station);
  const live = link.state === "live";
  const queue = useAppSelector(selectQueue);
  const pending = useAppSelector(selectPending);
  const done = useAppSelector(selectDone);
  const { fresh, late } = useNoticed(queue, link.state, station);
  const outbox = useOutbox(station, by, live);

  const [combined, setCombined] = useRemembered("combined");
  const [showsAllDay, setShowsAllDay] = useRemembered("allDay");
  const [sheet, setSheet] = useState<"recall" | "keys">();
  const [asking, setAsking] = useState<Order>();
  const cards = useMemo(() => (combined ? kinds(queue) : undefined), [combined, queue]);
  const ids = useMemo(() => cards?.map(({ flavour, size }) => `${flavour} ${size}`) ?? queue.map(({ id }) => id), [cards, queue]);
  const { list, frame, selected, byItself, select } = useSelection(ids);

  const obey = (command: Command) => {
    const at = ids.indexOf(selected ?? "");
    // The orders on the selected card with which something can be done.
    const here = doable(cards ? (cards[at]?.orders ?? []) : queue.slice(at, at + 1), by, pending, done);
    switch (command.do) {
      case "select":
        if (command.place < ids.length) select(command.place);
        break;
      case "move":
        select(moved(at, command.by, ids.length, list.current?.columns() ?? 1));
        break;
      case "done":
        if (at >= 0 && here.length > 0 && !byItself()) outbox.act(here, { kind: "advance", verb: station.verb, done: station.done });
        break;
      case "reject":
        if (at >= 0) setAsking(here[0]);
        break;
      case "take":
        if (at >= 0 && here[0]) outbox.act(here.slice(0, 1), { kind: holder(here[0], pending[here[0].id]) ? "release" : "claim" });
        break;
      case "undo":
        outbox.undoLast();
        break;
      case "allDay":
        setShowsAllDay(!showsAllDay);
        break;
      case "combine":
        setCombined(!combined);
        break;
      case "recall":
        setSheet("recall");
        break;
      case "sound":
        toggleSound();
        break;
      case "fullScreen":
        toggleFullScreen();
        break;
      case "help":
        setSheet("keys");
        break;
    }
  };
  const keys = useKeys(obey);
  const doing = { act: outbox.act, undo: outbox.undo, again: outbox.again, reject: setAsking };
  const common = (index: number, place: Place) => ({ station, by, place, selected: keys.used && ids[index] === selected, digit: keys.used && index < 9 ? index + 1 : undefined });
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
          allDay={showsAllDay}
          combined={combined}
          onAllDay={() => { setShowsAllDay(!showsAllDay); }}
          onCombine={() => { setCombined(!combined); }}
          onRecall={() => { setSheet("recall"); }}
          onHelp={() => { setSheet("keys"); }}
        />
      </div>
      <Trouble link={link} behind={behind} empty={queue.length === 0} />
      <div className={styles.work} data-beside={showsAllDay && queue.length > 0}>
        {showsAllDay && queue.length > 0 && (
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
            card={(index, place) => {
              const kind = cards?.[index];
              const order = kind ? kind.orders[0] : queue[index];
              if (kind && kind.orders.length > 1) return <KindCard {...common(index, place)} {...doing} kind={kind} pending={pending} done={done} fresh={kind.orders.some(({ id }) => fresh.has(id))} />;
              return order && <OrderCard {...common(index, place)} {...doing} order={order} action={pending[order.id]} done={done[order.id]} fresh={fresh.has(order.id)} live={live} />;
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
        {sheet === "recall" && <Recall station={station} onReject={setAsking} onUndo={outbox.undo} onClose={() => { setSheet(undefined); }} />}
        {sheet === "keys" && <KeysHelp on={keys.on} action={actionLabel(station)} onToggle={keys.toggle} onClose={() => { setSheet(undefined); }} />}
      </Suspense>
      {asking && (
        <RejectDialog
          order={asking}
          reasons={reasonsAt(asking.stage ?? station.stage)}
          onClose={() => { setAsking(undefined); }}
          onReject={(reason) => { outbox.act([asking], { kind: "reject", reason }); }}
        />
      )}
      <News />
      <Held stage={station.stage} done={doneTo} />
    </div>
  );
}

/** A yes or no that this device remembers. */
function useRemembered(place: string): [boolean, (value: boolean) => void] {
  const [value, setValue] = useState(() => read(place, (stored) => typeof stored === "boolean") ?? false);
  return [value, (next) => {
    write(place, next);
    setValue(next);
  }];
}

function useFeed(station: Station, person: string): void {
  const dispatch = useAppDispatch();
  const { topic, event, role } = station;
  useEffect(() => {
    dispatch(opened());
    return laterStation({ topic, event, role, person }, (events) => dispatch(received(events)));
  }, [dispatch, topic, event, role, person]);
}

function Trouble({ link, behind, empty }: { link: Link; behind: Behind | undefined; empty: boolean }) {
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

function BehindNotice({ behind }: { behind: Behind }) {
  const { t } = useTranslation();
  const age = formatAge(useNow() - behind.since);
  return <Notice tone="warn">{t("kitchen.behind", { age })}</Notice>;
}

/** Reads out what can be undone. */
function Held({ stage, done }: Pick<Station, "stage" | "done">) {
  const { t } = useTranslation();
  const held = useAppSelector(({ outbox }) => outbox.actions.findLast((action) => action.stage === stage && action.state === "held" && finishes(action.work)));
  return (
    <p className={styles.news} role="status">
      {held && `${title(held.work.kind === "reject" ? t("kitchen.rejected") : done)}: ${held.order.quantity} ${flavourTitle(held.order.flavour)}, ${shortId(held.order.id)}. ${t("kitchen.undo")}: U`}
    </p>
  );
}

/** Reads new orders out. */
function News() {
  const { t } = useTranslation();
  const { last } = useAppSelector((state) => state.station.news);
  return (
    <p className={styles.news} aria-live="polite">
      {last &&
        t("kitchen.news", { id: shortId(last.id), quantity: last.quantity, flavour: flavourTitle(last.flavour), size: sizeTitle(last.size) })}
    </p>
  );
}

