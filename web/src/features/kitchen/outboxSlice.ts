import { createSelector, createSlice, type PayloadAction } from "@reduxjs/toolkit";
import * as actions from "./actions";
import type { Action, Done, Outbox, Refusal } from "./actions";
import { remove, storedKeys, load, save } from "./device";

/** `full` counts the actions rejected because the outbox was full, so that the page can report it. */
export type OutboxState = Outbox & { full: number };

/** Each action has its own storage key, so that pages of the same browser do not overwrite each other's actions. */
const actionStorageKey = (key: string) => `action.${key}`;

export const outbox = createSlice({
  name: "outbox",
  initialState: loadOutbox,
  reducers: {
    acted: (state, { payload }: PayloadAction<Action[]>) => {
      const next = actions.add(state, payload);
      return next ? { ...state, ...next, full: 0 } : { ...state, full: state.full + 1 };
    },
    undone: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.undo(state, payload), full: 0 }),
    flushed: (state, { payload }: PayloadAction<number>) => ({ ...state, ...actions.makeDue(state, payload) }),
    sent: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.mark(state, payload, "sending") }),
    unanswered: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.mark(state, payload, "waiting") }),
    accepted: (state, { payload: { key, at } }: PayloadAction<{ key: string; at: number }>) => ({ ...state, ...actions.accepted(state, key, at), full: 0 }),
    refused: (state, { payload: { key, why, again } }: PayloadAction<{ key: string; why: string; again: boolean }>) => ({ ...state, ...actions.refused(state, key, why, again), full: 0 }),
    dismissed: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.dismiss(state, payload) }),
    retried: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.retry(state, payload) }),
    answeredElsewhere: (state, { payload }: PayloadAction<string>) => ({ ...state, ...actions.forget(state, payload) }),
  },
});

export const { acted, undone, flushed, sent, unanswered, accepted, refused, dismissed, retried, answeredElsewhere } = outbox.actions;

const selectOutbox = (state: { outbox: OutboxState }) => state.outbox;

/** Unanswered actions by order ID. */
export const selectPending = createSelector([(state: { outbox: OutboxState }) => selectOutbox(state).actions], actions.pendingByOrder);

/** Accepted actions by order ID. */
export const selectDone = createSelector(
  [(state: { outbox: OutboxState }) => selectOutbox(state).done],
  (done): Partial<Record<string, Done>> => Object.fromEntries(done.map((is) => [is.order.id, is])),
);

/** Returns the action key in a storage key, or undefined if it is not an action's. */
export function actionKeyFrom(removed: string): string | undefined {
  return removed.startsWith(actionStorageKey("")) ? removed.slice(actionStorageKey("").length) : undefined;
}

const hasFields = (value: unknown, ...fields: string[]): value is object => typeof value === "object" && value !== null && fields.every((field) => field in value);
const isAction = (value: unknown): value is Action => hasFields(value, "key", "batch", "order", "stage", "by", "work", "made", "due", "state");
const isArrayOf = <T>(passes: (value: unknown) => value is T) => (value: unknown): value is T[] => Array.isArray(value) && value.every(passes);
const isDone = (value: unknown): value is Done => hasFields(value, "key", "order", "stage", "by", "work", "at");
const isRefusal = (value: unknown): value is Refusal => hasFields(value, "action", "why", "again") && isAction((value as Refusal).action);

/** Loads the outbox of an earlier page. Actions that were in flight become `waiting`: they may have arrived. */
function loadOutbox(): OutboxState {
  const left = storedKeys(actionStorageKey(""))
    .flatMap((at) => load(at, isAction) ?? [])
    .sort((a, b) => a.made - b.made)
    .slice(0, actions.actionsAtMost)
    .map((action): Action => (action.state === "sending" ? { ...action, state: "waiting" } : action));
  return { actions: left, refusals: load("refusals", isArrayOf(isRefusal)) ?? [], done: load("done", isArrayOf(isDone)) ?? [], full: 0 };
}

/** Returns a function that stores the changes since its last call. An action is stored before it is sent. */
export function outboxPersister(before: Outbox): (now: Outbox) => void {
  return (now) => {
    if (now.actions !== before.actions) {
      const earlier = new Set(before.actions);
      for (const action of now.actions) if (!earlier.has(action)) save(actionStorageKey(action.key), action);
      const keys = new Set(now.actions.map(({ key }) => key));
      for (const { key } of before.actions) if (!keys.has(key)) remove(actionStorageKey(key));
    }
    if (now.refusals !== before.refusals) save("refusals", now.refusals);
    if (now.done !== before.done) save("done", now.done);
    before = now;
  };
}
