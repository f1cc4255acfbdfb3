import { useEffect, useLayoutEffect, useRef } from "react";
import { useParams } from "react-router";
import { problemText } from "../../api/problem";
import type { Order, Station } from "../../api/types";
import { followStation } from "../../hub/stationFeed";
import { shortId, sizeTitle, title } from "../../labels";
import { useAppDispatch, useAppSelector } from "../../store";
import { formatTime } from "../../ui/age";
import { Cupcake } from "../../ui/Cupcake";
import { Freshness } from "../../ui/Freshness";
import { NotFoundPage } from "../../ui/NotFoundPage";
import { Notice } from "../../ui/Notice";
import { useStations } from "../../useStations";
import styles from "./KitchenPage.module.css";
import { OrderCard } from "./OrderCard";
import { opened, received, selectQueue, type Link } from "./stationSlice";

/** As many cards as a screen can be scrolled through; the rest of the queue is a number until its turn comes. */
const cardsAtMost = 60;

/** The page of whichever station the address names. */
export function KitchenPage() {
  const { page } = useParams();
  const { stations, error } = useStations();
  const station = stations?.find((candidate) => candidate.page === page);
  if (station) return <StationScreen key={station.stage} station={station} />;
  if (stations) return <NotFoundPage />;
  return (
    <>
      <title>eCupcakes</title>
      <h1>Looking for the kitchen</h1>
      <Freshness state="connecting" />
      {error && <Notice>{problemText(error)} This page keeps trying.</Notice>}
    </>
  );
}

export function StationScreen({ station }: { station: Station }) {
  const { name } = useAppSelector((state) => state.session);
  const role = title(station.role);
  const by = name || role;
  useFeed(station, by);
  const link = useAppSelector((state) => state.station.link);
  const queue = useAppSelector(selectQueue);
  const list = useFocusAfterLeaving(queue);

  const live = link.state === "live";
  const more = queue.length - cardsAtMost;
  return (
    <div className={styles.page}>
      <title>{`${live ? `(${queue.length}) ` : ""}${role} · eCupcakes`}</title>
      <div className={styles.top}>
        <div>
          <h1>
            Hey {role}
            {name && ` ${name}`}
          </h1>
          <h2 id="queue">
            New orders to be {station.done}: <b>{live || queue.length > 0 ? queue.length : "…"}</b>
          </h2>
        </div>
        <Freshness state={link.state} since={"since" in link ? link.since : undefined} />
      </div>
      <Trouble link={link} empty={queue.length === 0} />
      <ul ref={list} className={styles.cards} aria-labelledby="queue" data-stale={!live}>
        {queue.slice(0, cardsAtMost).map((order) => (
          <OrderCard key={order.id} order={order} station={station} by={by} stale={!live} />
        ))}
      </ul>
      {more > 0 && <p className={styles.more}>and {more} more waiting</p>}
      {live && queue.length === 0 && (
        <div className={styles.empty}>
          <Cupcake flavour="Vanilla" />
          <p>Nothing to be {station.done}. New orders appear here by themselves.</p>
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
    return followStation({ topic, event, role, person }, (events) => dispatch(received(events)));
  }, [dispatch, topic, event, role, person]);
}

function Trouble({ link, empty }: { link: Link; empty: boolean }) {
  if (!("since" in link)) return null;
  return (
    <Notice tone={link.state === "offline" ? "bad" : "warn"}>
      No connection to the line. {!empty && `These are the orders of ${formatTime(link.since)}. `}
      New ones do not show up and buttons rest until it is back. This page keeps trying; there is nothing to press.
    </Notice>
  );
}

/** Reads new orders out. */
function News() {
  const { last } = useAppSelector((state) => state.station.news);
  return (
    <p className={styles.news} aria-live="polite">
      {last && `New order ${shortId(last.id)}: ${last.quantity} ${last.flavour}, ${sizeTitle(last.size)}`}
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
