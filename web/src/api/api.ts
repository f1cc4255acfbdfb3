import { createApi, fetchBaseQuery } from "@reduxjs/toolkit/query/react";
import type { Board, DeadLetter, DeadLetters, Estimate, Line, LineStats, Menu, NewOrder, Order, OrderPage, Placed, Station } from "./types";
import { tellChanges } from "./wait";

/** A call answers within this many milliseconds or has failed: the server itself waits at most 5 s for an outcome. */
const patience = 8_000;

/** The key makes a repeated call harmless: the server answers it with the first call's result. */
interface Keyed {
  key: string;
}

export interface Advance extends Keyed {
  station: Pick<Station, "verb" | "done">;
  id: string;
  by: string;
}

export interface Hold extends Keyed {
  id: string;
  by: string;
  how: "claim" | "release";
}

export interface Reject extends Keyed {
  id: string;
  by: string;
  reason: string;
}

export const api = createApi({
  baseQuery: fetchBaseQuery({ baseUrl: `${location.origin}/api/v1`, timeout: patience }),
  endpoints: (build) => ({
    /** The menu, live as long as somebody looks at it: what has run out shows at once. */
    menu: build.query<Menu, undefined>({
      query: () => "/menu",
      onCacheEntryAdded: async (_, entry) => {
        const gone = new AbortController();
        void entry.cacheEntryRemoved.then(() => { gone.abort(); });
        try {
          await entry.cacheDataLoaded;
        } catch {
          return; // Nobody looks any more.
        }
        await tellChanges("/menu", (menu) => { entry.updateCachedData(() => menu as Menu); }, gone.signal);
      },
    }),

    line: build.query<Line, undefined>({ query: () => "/stations" }),

    order: build.query<Order, string>({ query: (id) => `/order/${encodeURIComponent(id)}` }),

    orders: build.query<OrderPage, { status: string; cursor: string; limit: number }>({
      query: ({ status, cursor, limit }) => ({
        url: "/orders",
        params: { limit, ...(status && { status }), ...(cursor && { cursor }) },
      }),
    }),

    /** When an order will be shipped, as it looks after that many of its steps. */
    estimate: build.query<Estimate, { id: string; steps: number }>({ query: ({ id }) => `/order/${encodeURIComponent(id)}/estimate` }),

    stats: build.query<LineStats, { hours: number }>({ query: ({ hours }) => ({ url: "/stats", params: { hours } }) }),

    board: build.query<Board, undefined>({ query: () => "/board" }),

    remake: build.mutation<Placed, { id: string; by: string }>({
      query: ({ id, by }) => ({ url: "/order/remake", method: "POST", body: { Order: { Id: id }, By: by } }),
    }),

    deadLetters: build.query<DeadLetters, { cursor: string; limit: number }>({
      query: ({ cursor, limit }) => ({ url: "/deadletters", params: { limit, ...(cursor && { cursor }) } }),
    }),

    deadLetter: build.query<DeadLetter, string>({ query: (id) => `/deadletters/${encodeURIComponent(id)}` }),

    /** Sends a dead letter's message once more, or puts it aside. */
    resolve: build.mutation<unknown, { id: string; how: "requeue" | "drop"; by: string }>({
      query: ({ id, how, by }) => ({ url: `/deadletters/${encodeURIComponent(id)}/${how}`, method: "POST", body: { by } }),
    }),

    placeOrder: build.mutation<Placed, NewOrder & Keyed>({
      query: ({ key, flavour, size, quantity }) => ({
        url: "/order",
        method: "POST",
        headers: { "Idempotency-Key": key },
        body: { Order: { Flavour: flavour, Size: size, Quantity: quantity } },
      }),
    }),

    // What a worker does is sent even if the page is closed meanwhile: keepalive.
    advance: build.mutation<Order, Advance>({
      query: ({ key, station, id, by }) => ({
        url: `/order/${station.verb}`,
        method: "POST",
        keepalive: true,
        headers: { "Idempotency-Key": key },
        body: { Order: { Id: id, [doneBy(station.done)]: by } },
      }),
    }),

    /** Takes an order on, so that nobody else does it meanwhile, or gives it back. Doing so twice is as once. */
    hold: build.mutation<Order, Hold>({
      query: ({ key, id, by, how }) => ({
        url: `/order/${how}`,
        method: "POST",
        keepalive: true,
        headers: { "Idempotency-Key": key },
        body: { Order: { Id: id }, By: by },
      }),
    }),

    reject: build.mutation<Order, Reject>({
      query: ({ key, id, by, reason }) => ({
        url: "/order/reporterror",
        method: "POST",
        keepalive: true,
        headers: { "Idempotency-Key": key },
        body: { Order: { Id: id }, Reason: reason, ReportedBy: by },
      }),
    }),
  }),
});

export const {
  useMenuQuery,
  useLineQuery,
  useOrderQuery,
  useOrdersQuery,
  useEstimateQuery,
  useStatsQuery,
  useBoardQuery,
  useRemakeMutation,
  useDeadLettersQuery,
  useDeadLetterQuery,
  useResolveMutation,
  usePlaceOrderMutation,
} = api;

/** The field that names the worker: `mixed` becomes `MixedBy`. */
function doneBy(done: string): string {
  return `${done.charAt(0).toUpperCase()}${done.slice(1)}By`;
}
