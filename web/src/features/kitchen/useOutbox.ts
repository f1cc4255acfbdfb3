import { useEffect, useMemo } from "react";
import { useStore } from "react-redux";
import { newKey } from "../../api/idempotency";
import type { Order, Station } from "../../api/types";
import { useAppDispatch, type Store } from "../../store";
import { finishes, lastHeld, undoWindow, type Done, type Work } from "./actions";
import { acted, undone } from "./outboxSlice";
import { startSending, type Sender } from "./sender";

/** Once begun, sending goes on for as long as the browser has the page, whatever it shows. */
const senders = new WeakMap<Store, Sender>();

/** Does things in a worker's name at a station, and sends them. `live` becoming true is a reason to try at once. */
export function useOutbox({ stage }: Pick<Station, "stage">, by: string, live: boolean) {
  const dispatch = useAppDispatch();
  const store = useStore() as Store;
  useEffect(() => {
    const sender = senders.get(store) ?? startSending(store);
    senders.set(store, sender);
    return sender.flush; // Whoever leaves the screen does not see that anything could be undone.
  }, [store]);
  useEffect(() => {
    if (live) senders.get(store)?.wake();
  }, [store, live]);

  return useMemo(() => {
    const act = (orders: Order[], work: Work) => {
      const now = Date.now();
      const batch = newKey();
      const due = finishes(work) ? now + undoWindow : now;
      dispatch(acted(orders.map(({ id, flavour, size, quantity }) => ({
        key: newKey(), batch, order: { id, flavour, size, quantity }, stage, by, work, made: now, due, state: "held",
      }))));
    };
    const undo = (batch: string) => { dispatch(undone(batch)); };
    return {
      act,
      undo,
      undoLast: () => {
        const batch = lastHeld(store.getState().outbox, stage);
        if (batch) undo(batch);
      },
      /** With its key, so that what the line has done already is not done twice. */
      again: ({ key, order, work, by: who }: Done) => {
        const now = Date.now();
        dispatch(acted([{ key, batch: key, order, stage, by: who, work, made: now, due: now, state: "waiting" }]));
      },
    };
  }, [dispatch, store, stage, by]);
}
