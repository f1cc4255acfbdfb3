import { useEffect, useLayoutEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { useParams } from "react-router";
import { problemText } from "../../api/problem";
import type { Order, Station } from "../../api/types";
import { laterStation } from "../../hub/laterStation";
import { doneWord, flavourTitle, roleTitle, shortId, sizeTitle, title } from "../../labels";
import { useAppDispatch, useAppSelector } from "../../store";
import { formatAge, formatTime, useNow } from "../../ui/age";
import { Cupcake } from "../../ui/Cupcake";
import { Freshness } from "../../ui/Freshness";
import { NotFoundPage } from "../../ui/NotFoundPage";
import { Notice } from "../../ui/Notice";
import { useStations } from "../../useStations";
import styles from "./KitchenPage.module.css";
import { OrderCard } from "./OrderCard";
import { Totals } from "./Totals";
import { opened, received, selectQueue, type Behind, type Link } from "./stationSlice";

/** As many cards as a screen can be scrolled through; the rest of the queue is a number until its turn comes. */
const cardsAtMost = 60;

/** The page of whichever station the address names. */
export function KitchenPage() {
  const { t } = useTranslation();
  const { page } = useParams();
  const { stations, error } = useStations();
  const station = stations?.find((candidate) => candidate.page === page);
  if (station) return <StationScreen key={station.stage} station={station} />;
  if (stations) return <NotFoundPage />;
  return (
    <>
      <title>eCupcakes</title>
      <h1>{t("kitchen.looking")}</h1>
      <Freshness state="connecting" />
      {error && <Notice>{problemText(error)} {t("trouble.keepsTrying")}</Notice>}
    </>
  );
}

export function StationScreen({ station }: { station: Station }) {
  const { t } = useTranslation();
  const { name } = useAppSelector((state) => state.session);
  const role = roleTitle(station.role);
  const done = doneWord(station.done);
  const by = name || title(station.role);
  useFeed(station, by);
  const { link, behind } = useAppSelector((state) => state.station);
  const queue = useAppSelector(selectQueue);
  const list = useFocusAfterLeaving(queue);

  const live = link.state === "live";
  const more = queue.length - cardsAtMost;
  return (
    <div className={styles.page}>
      <title>{`${live ? `(${queue.length}) ` : ""}${role} · eCupcakes`}</title>
      <div className={styles.top}>
        <div>
          <h1>{name ? t("kitchen.heyName", { role, name }) : t("kitchen.hey", { role })}</h1>
          <h2 id="queue">
            {t("kitchen.queue", { done })} <b>{live || queue.length > 0 ? queue.length : "…"}</b>
          </h2>
        </div>
        <Freshness state={link.state} since={"since" in link ? link.since : undefined} behind={behind} />
      </div>
      <Trouble link={link} behind={behind} empty={queue.length === 0} />
      {queue.length > 1 && <Totals queue={queue} />}
      <ul ref={list} className={styles.cards} aria-labelledby="queue" data-stale={!live || behind !== undefined}>
        {queue.slice(0, cardsAtMost).map((order) => (
          <OrderCard key={order.id} order={order} station={station} by={by} stale={!live} />
        ))}
      </ul>
      {more > 0 && <p className={styles.more}>{t("kitchen.more", { count: more })}</p>}
      {live && !behind && queue.length === 0 && (
        <div className={styles.empty}>
          <Cupcake flavour="Vanilla" />
          <p>{t("kitchen.empty", { done })}</p>
        </div>
      )}
      <News />
    </div>
  );
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
        {t("kitchen.offline")} {!empty && t("kitchen.asOf", { time: formatTime(link.since) })} {t("kitchen.resting")}
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

/**
 * When the card that had the focus leaves, the focus goes to the first card as a whole. Not to its button: somebody who
 * hits the key twice would move on an order that they have not seen.
 */
function useFocusAfterLeaving(queue: Order[]) {
  const list = useRef<HTMLUListElement>(null);
  const focused = useRef<Element>(null);
  useLayoutEffect(() => {
    if (focused.current && !focused.current.isConnected && document.activeElement === document.body) {
      list.current?.querySelector<HTMLElement>("li")?.focus({ preventScroll: true });
    }
    focused.current = list.current?.contains(document.activeElement) ? document.activeElement : null;
  }, [queue]);
  useEffect(() => {
    const element = list.current;
    const remember = (event: FocusEvent) => { focused.current = event.target as Element; };
    element?.addEventListener("focusin", remember);
    return () => element?.removeEventListener("focusin", remember);
  }, []);
  return list;
}
