import { createApi, fetchBaseQuery } from "@reduxjs/toolkit/query/react";
import type { Line, Menu, NewOrder, Order, OrderPage, Placed, Station } from "./types";

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

export interface Reject extends Keyed {
  id: string;
  by: string;
  reason: string;
}

export const api = createApi({
  baseQuery: fetchBaseQuery({ baseUrl: `${location.origin}/api/v1`, timeout: patience }),
  endpoints: (build) => ({
    menu: build.query<Menu, undefined>({ query: () => "/menu" }),

    line: build.query<Line, undefined>({ query: () => "/stations" }),

    orders: build.query<OrderPage, { status: string; cursor: string; limit: number }>({
      query: ({ status, cursor, limit }) => ({
        url: "/orders",
        params: { limit, ...(status && { status }), ...(cursor && { cursor }) },
      }),
    }),

    order: build.query<Order, string>({
      // A page may be opened a moment before the order shows up in the server's view.
      query: (id) => ({ url: `/order/${encodeURIComponent(id)}`, headers: { Prefer: "wait=3" } }),
    }),

    placeOrder: build.mutation<Placed, NewOrder & Keyed>({
      query: ({ key, flavour, size, quantity }) => ({
        url: "/order",
        method: "POST",
        headers: { "Idempotency-Key": key },
        body: { Order: { Flavour: flavour, Size: size, Quantity: quantity } },
      }),
      async onQueryStarted(_, { dispatch, queryFulfilled }) {
        try {
          const { order } = (await queryFulfilled).data;
          void dispatch(api.util.upsertQueryData("order", order.id, order));
        } catch {
          // The form shows the error; there is no order to remember.
        }
      },
    }),

    advance: build.mutation<Order, Advance>({
      query: ({ key, station, id, by }) => ({
        url: `/order/${station.verb}`,
        method: "POST",
        headers: { "Idempotency-Key": key },
        body: { Order: { Id: id, [doneBy(station.done)]: by } },
      }),
    }),

    reject: build.mutation<Order, Reject>({
      query: ({ key, id, by, reason }) => ({
        url: "/order/reporterror",
        method: "POST",
        headers: { "Idempotency-Key": key },
        body: { Order: { Id: id }, Reason: reason, ReportedBy: by },
      }),
    }),
  }),
});

export const {
  useMenuQuery,
  useLineQuery,
  useOrdersQuery,
  useOrderQuery,
  usePlaceOrderMutation,
  useAdvanceMutation,
  useRejectMutation,
} = api;

/** The field that names the worker: `mixed` becomes `MixedBy`. */
function doneBy(done: string): string {
  return `${done.charAt(0).toUpperCase()}${done.slice(1)}By`;
}
