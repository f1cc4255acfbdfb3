import { createSelector, createSlice, type PayloadAction } from "@reduxjs/toolkit";
import type { Order } from "../../api/types";
import type { FeedEvent } from "../../hub/stationFeed";
import type { Behind } from "../../ui/Freshness";

/**
 * `live` is said only after the server has told the whole queue. `reconnecting` turns into `offline` after a few failed
 * attempts; the attempts go on.
 */
export type Link = { state: "connecting" | "live" } | { state: "reconnecting" | "offline"; since: number };

export type { Behind };

export interface StationState {
  link: Link;
  /** How far the server is behind; nothing while it is live, or while it says nothing. */
  behind?: Behind | undefined;
  /** What the screen shows, by id. While the link is not live, it is what was true last. */
  shown: Record<string, Order>;
  /** What came since the link is up again; it counts when it is complete. */
  incoming: Extract<FeedEvent, { type: "arrived" | "left" }>[];
  /** Orders that arrived while live, counted so that the same order twice in a row is still news. */
  news: { count: number; last?: Order };
}

/** With the back-off of half a second doubling, the third failure comes after about four seconds. */
const failuresUntilOffline = 3;

const initialState: StationState = { link: { state: "connecting" }, shown: {}, incoming: [], news: { count: 0 } };

export const station = createSlice({
  name: "station",
  initialState,
  reducers: {
    /** Another station's page was opened. */
    opened: () => initialState,

    received(state, action: PayloadAction<FeedEvent[]>) {
      for (const event of action.payload) apply(state, event);
    },

    /** The line has taken a claim, or its end. The hub tells it a moment later; until then the card would say what was before. */
    held(state, { payload: { id, by, on } }: PayloadAction<{ id: string; by: string; on: boolean }>) {
      const order = state.shown[id];
      if (on && order && !order.claimedBy) order.claimedBy = by;
      if (!on && order?.claimedBy === by) delete order.claimedBy;
    },
  },
});

export const { opened, received, held } = station.actions;

function apply(state: StationState, event: FeedEvent): void {
  switch (event.type) {
    case "arrived":
    case "left":
      if (state.link.state === "live") show(state, event, true);
      else state.incoming.push(event);
      break;
    case "synced":
      if (!event.resumed) state.shown = {};
      for (const missed of state.incoming) show(state, missed, event.resumed);
      state.incoming = [];
      state.link = { state: "live" };
      break;
    case "fresh":
      state.behind = event.behind > 0 ? { since: event.at - event.behind * 1000, because: event.because, stage: event.stage } : undefined;
      break;
    case "lost":
      state.incoming = [];
      state.behind = undefined;
      state.link = afterLoss(state.link, event);
      break;
  }
}

function show(state: StationState, event: StationState["incoming"][number], isNews: boolean): void {
  if (event.type === "left") {
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- Immer's way to drop an entry.
    delete state.shown[event.id];
    return;
  }
  if (isNews && !(event.order.id in state.shown)) state.news = { count: state.news.count + 1, last: event.order };
  state.shown[event.order.id] = event.order;
}

function afterLoss(link: Link, { failures, at }: { failures: number; at: number }): Link {
  if (link.state === "connecting" && failures < failuresUntilOffline) return link;
  const since = "since" in link ? link.since : at;
  return { state: failures < failuresUntilOffline ? "reconnecting" : "offline", since };
}

/** The queue, oldest first; ids break ties, so that the order of cards never depends on the order of messages. */
export const selectQueue = createSelector(
  [(state: { station: StationState }) => state.station.shown],
  (shown) =>
    Object.values(shown)
      // As numbers: written out, 08:00:00.5Z would come after 08:00:00.52Z.
      .map((order) => ({ order, at: Date.parse(order.arrivedOn ?? order.placedOn) }))
      .sort((a, b) => a.at - b.at || (a.order.id < b.order.id ? -1 : 1))
      .map(({ order }) => order),
);
