import { useEffect, useMemo } from "react";
import { useStore } from "react-redux";
import { newKey } from "../../api/idempotency";
import type { Order, Station } from "../../api/types";
import { useAppDispatch, type Store } from "../../store";
import { finishes, lastUndoable, undoWindow, type Done, type Operation } from "./actions";
import { acted, undone } from "./outboxSlice";
import { startSending, type Sender } from "./sender";

/** One sender per store. It runs until the page is closed, also while another route is shown. */
const senders = new WeakMap<Store, Sender>();

/** Returns functions that queue a worker's actions at a station. The outbox is retried at once when `live` becomes true. */
export function useOutbox({ stage }: Pick<Station, "stage">, by: string, live: boolean) {
  const dispatch = useAppDispatch();
  const store = useStore() as Store;
  useEffect(() => {
    const sender = senders.get(store) ?? startSending(store);
    senders.set(store, sender);
    return sender.flush; // UNDO is not visible on other pages, so held actions are sent.
  }, [store]);
  useEffect(() => {
    if (live) senders.get(store)?.wake();
  }, [store, live]);

  return useMemo(() => {
    const act = (orders: Order[], work: Operation) => {
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
        const batch = lastUndoable(store.getState().outbox, stage);
        if (batch) undo(batch);
      },
      /** Sends an accepted action again under its own key, so that the server does not apply it twice. */
      again: ({ key, order, work, by: who }: Done) => {
        const now = Date.now();
        dispatch(acted([{ key, batch: key, order, stage, by: who, work, made: now, due: now, state: "waiting" }]));
      },
    };
  }, [dispatch, store, stage, by]);
}
