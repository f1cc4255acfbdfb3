import { createSelector, createSlice, type PayloadAction } from "@reduxjs/toolkit";
import type { Order } from "../../api/types";
import type { FeedEvent } from "../../hub/stationFeed";
import type { Lag } from "../../ui/Freshness";

/**
 * `live` is reached only once the whole queue has arrived. `reconnecting` becomes `offline` after failuresUntilOffline
 * failed attempts; reconnecting continues.
 */
export type Link = { state: "connecting" | "live" } | { state: "reconnecting" | "offline"; since: number };

export type { Lag };

export interface StationState {
  link: Link;
  /** How far the server lags; undefined while it is live or has not reported yet. */
  behind?: Lag | undefined;
  /** The orders on the screen by ID. While the link is not live, they are the last known ones. */
  shown: Record<string, Order>;
  /** Events since the connection came back; they are applied once `synced` arrives. */
  incoming: Extract<FeedEvent, { type: "arrived" | "left" }>[];
  /** Orders that arrived while live. The counter makes the same order twice in a row a change. */
  newOrders: { count: number; last?: Order };
}

/** With a back-off that doubles from half a second, the third failure comes after about four seconds. */
const failuresUntilOffline = 3;

const initialState: StationState = { link: { state: "connecting" }, shown: {}, incoming: [], newOrders: { count: 0 } };

export const station = createSlice({
  name: "station",
  initialState,
  reducers: {
    /** A station's page was opened. */
    opened: () => initialState,

    received(state, action: PayloadAction<FeedEvent[]>) {
      for (const event of action.payload) apply(state, event);
    },

    /** A claim or release was accepted. The hub reports it a moment later; until then the card would be out of date. */
    claimChanged(state, { payload: { id, by, on } }: PayloadAction<{ id: string; by: string; on: boolean }>) {
      const order = state.shown[id];
      if (on && order && !order.claimedBy) order.claimedBy = by;
      if (!on && order?.claimedBy === by) delete order.claimedBy;
    },
  },
});

export const { opened, received, claimChanged } = station.actions;

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

function show(state: StationState, event: StationState["incoming"][number], isNew: boolean): void {
  if (event.type === "left") {
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- Immer removes an entry this way.
    delete state.shown[event.id];
    return;
  }
  if (isNew && !(event.order.id in state.shown)) state.newOrders = { count: state.newOrders.count + 1, last: event.order };
  state.shown[event.order.id] = event.order;
}

function afterLoss(link: Link, { failures, at }: { failures: number; at: number }): Link {
  if (link.state === "connecting" && failures < failuresUntilOffline) return link;
  const since = "since" in link ? link.since : at;
  return { state: failures < failuresUntilOffline ? "reconnecting" : "offline", since };
}

/** The queue, oldest first. IDs break ties, so that the card order does not depend on the message order. */
export const selectQueue = createSelector(
  [(state: { station: StationState }) => state.station.shown],
  (shown) =>
    Object.values(shown)
      // Compared as numbers: as text, 08:00:00.5Z would sort after 08:00:00.52Z.
      .map((order) => ({ order, at: Date.parse(order.arrivedOn ?? order.placedOn) }))
      .sort((a, b) => a.at - b.at || (a.order.id < b.order.id ? -1 : 1))
      .map(({ order }) => order),
);
