import { createSelector, createSlice, type PayloadAction } from "@reduxjs/toolkit";
import * as actions from "./actions";
import type { Action, Done, Outbox, Refusal } from "./actions";
import { erase, places, read, write } from "./device";

/** How often there was no room for what somebody did, so that the page can say so. */
export type OutboxState = Outbox & { full: number };

/** One entry for each action, so that pages of the same browser do not overwrite each other's. */
const place = (key: string) => `action.${key}`;

export const outbox = createSlice({
  name: "outbox",
  initialState: recalled,
  reducers: {
    acted: (state, { payload }: PayloadAction<Action[]>) => {
      const next = actions.add(state, payload);
      return next ? { ...state, ...next, full: 0 } : { ...state, full: state.full + 1 };
    },
    undone: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.undo(state, payload), full: 0 }),
    hurried: (state, { payload }: PayloadAction<number>) => ({ ...state, ...actions.hurry(state, payload) }),
    sent: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.mark(state, payload, "sending") }),
    unanswered: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.mark(state, payload, "waiting") }),
    taken: (state, { payload: { key, at } }: PayloadAction<{ key: string; at: number }>) => ({ ...state, ...actions.taken(state, key, at), full: 0 }),
    refused: (state, { payload: { key, why, again } }: PayloadAction<{ key: string; why: string; again: boolean }>) => ({ ...state, ...actions.refused(state, key, why, again), full: 0 }),
    dismissed: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.dismiss(state, payload) }),
    retried: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.retry(state, payload) }),
    answeredElsewhere: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.forget(state, payload) }),
  },
});

export const { acted, undone, hurried, sent, unanswered, taken, refused, dismissed, retried, answeredElsewhere } = outbox.actions;

const selectOutbox = (state: { outbox: OutboxState }) => state.outbox;

/** What is still to be answered, by order. */
export const selectPending = createSelector([(state: { outbox: OutboxState }) => selectOutbox(state).actions], actions.byOrder);

/** What the line has taken from this screen, by order. */
export const selectDone = createSelector(
  [(state: { outbox: OutboxState }) => selectOutbox(state).done],
  (done): Partial<Record<string, Done>> => Object.fromEntries(done.map((is) => [is.order.id, is])),
);

/** The action that a storage event of another page removed. */
export function keyOf(removed: string): string | undefined {
  return removed.startsWith(place("")) ? removed.slice(place("").length) : undefined;
}

const has = (value: unknown, ...fields: string[]): value is object => typeof value === "object" && value !== null && fields.every((field) => field in value);
const isAction = (value: unknown): value is Action => has(value, "key", "batch", "order", "stage", "by", "work", "made", "due", "state");
const all = <T>(passes: (value: unknown) => value is T) => (value: unknown): value is T[] => Array.isArray(value) && value.every(passes);
const isDone = (value: unknown): value is Done => has(value, "key", "order", "stage", "by", "work", "at");
const isRefusal = (value: unknown): value is Refusal => has(value, "action", "why", "again") && isAction((value as Refusal).action);

/** What an earlier page left. Of what it was just sending nobody knows whether it arrived. */
function recalled(): OutboxState {
  const left = places(place(""))
    .flatMap((at) => read(at, isAction) ?? [])
    .sort((a, b) => a.made - b.made)
    .slice(0, actions.actionsAtMost)
    .map((action): Action => (action.state === "sending" ? { ...action, state: "waiting" } : action));
  return { actions: left, refusals: read("refusals", all(isRefusal)) ?? [], done: read("done", all(isDone)) ?? [], full: 0 };
}

/** Gives a function that writes down what has changed since it was called last. An action is written before it is sent. */
export function outboxKeeper(before: Outbox): (now: Outbox) => void {
  return (now) => {
    if (now.actions !== before.actions) {
      const earlier = new Set(before.actions);
      for (const action of now.actions) if (!earlier.has(action)) write(place(action.key), action);
      const keys = new Set(now.actions.map(({ key }) => key));
      for (const { key } of before.actions) if (!keys.has(key)) erase(place(key));
    }
    if (now.refusals !== before.refusals) write("refusals", now.refusals);
    if (now.done !== before.done) write("done", now.done);
    before = now;
  };
}
