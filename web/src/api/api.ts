import { createApi, fetchBaseQuery } from "@reduxjs/toolkit/query/react";
import type { Board, DeadLetter, DeadLetters, Estimate, Line, LineStats, Menu, NewOrder, Order, OrderPage, Placed, Station } from "./types";
import { followChanges } from "./wait";

/** Request timeout in milliseconds. The server itself waits at most 5 s for an outcome. */
const requestTimeout = 8_000;

/** The Idempotency-Key makes a call idempotent: a retry gets the result of the first call. */
interface Keyed {
  key: string;
}

export interface Advance extends Keyed {
  station: Pick<Station, "verb" | "done">;
  id: string;
  by: string;
}

export interface ClaimChange extends Keyed {
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
  baseQuery: fetchBaseQuery({ baseUrl: `${location.origin}/api/v1`, timeout: requestTimeout }),
  endpoints: (build) => ({
    /** The menu. It is kept current by long polling while a component uses it, so that sold-out flavours show at once. */
    menu: build.query<Menu, undefined>({
      query: () => "/menu",
      onCacheEntryAdded: async (_, entry) => {
        const gone = new AbortController();
        void entry.cacheEntryRemoved.then(() => { gone.abort(); });
        try {
          await entry.cacheDataLoaded;
        } catch {
          return; // No component uses the menu any more.
        }
        await followChanges("/menu", (menu) => { entry.updateCachedData(() => menu as Menu); }, gone.signal);
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

    /** The shipping estimate of an order. `steps` is part of the cache key: each step gets a new estimate. */
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

    /** Requeues or drops a dead letter. */
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

    // keepalive: the browser completes these requests even if the page is closed.
    advance: build.mutation<Order, Advance>({
      query: ({ key, station, id, by }) => ({
        url: `/order/${station.verb}`,
        method: "POST",
        keepalive: true,
        headers: { "Idempotency-Key": key },
        body: { Order: { Id: id, [doneBy(station.done)]: by } },
      }),
    }),

    /** Claims an order, so that nobody else can act on it, or releases it. Both are idempotent. */
    changeClaim: build.mutation<Order, ClaimChange>({
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

/** Returns the request field for the worker's name: `MixedBy` for `mixed`. */
function doneBy(done: string): string {
  return `${done.charAt(0).toUpperCase()}${done.slice(1)}By`;
}
