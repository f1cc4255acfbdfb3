import type { Order, Station } from "../../api/types";

/** An operation on an order, as one call of the API. Stored on devices within an Action, so its fields keep their names. */
export type Operation =
  | ({ kind: "advance" } & Pick<Station, "verb" | "done">)
  | { kind: "reject"; reason: string }
  | { kind: "claim" }
  | { kind: "release" };

/**
 * - `held`: not sent yet, so it can be undone; until it is due, or for as long as there is no network.
 * - `sending`: the request is in flight.
 * - `waiting`: sent, but not answered. The server may have applied it, so it is retried with the same key.
 */
export type ActionState = "held" | "sending" | "waiting";

/** One operation of a worker, from the press of the button until the server has answered. */
export interface Action {
  /** The Idempotency-Key: the same for every retry. It also identifies the action in the outbox. */
  key: string;
  /** Actions of one button press share a batch and are undone together. */
  batch: string;
  order: Pick<Order, "id" | "flavour" | "size" | "quantity">;
  stage: string;
  by: string;
  work: Operation;
  /** When the button was pressed, and the earliest time to send, in milliseconds since 1970. */
  made: number;
  due: number;
  state: ActionState;
}

/** An action that the server has accepted, and when. */
export type Done = Pick<Action, "key" | "order" | "stage" | "by" | "work"> & { at: number };

/** An action that the server refused, and why. */
export interface Refusal {
  action: Action;
  why: string;
  /** Whether a retry with the same key may succeed. */
  again: boolean;
}

export interface Outbox {
  /** Unanswered actions, oldest first. */
  actions: Action[];
  /** Refusals that nobody has dismissed yet. */
  refusals: Refusal[];
  /** Accepted actions, oldest first. */
  done: Done[];
}

/** How long a step or a rejection can be undone, in milliseconds. */
export const undoWindow = 3000;

/** Upper bound of unsent actions: more than one screen's work during an outage. */
export const actionsAtMost = 200;

/** Upper bound of stored refusals; the oldest are dropped first. */
export const refusalsAtMost = 20;

/** Upper bound of accepted actions stored per stage; their orders may not have left the screen yet. */
export const doneAtMost = 100;

export const emptyOutbox: Outbox = { actions: [], refusals: [], done: [] };

/** Reports whether the operation takes the order off the station; claims and releases do not. */
export function finishes(work: Operation): boolean {
  return work.kind === "advance" || work.kind === "reject";
}

/**
 * Adds the actions of one button press. Orders with a pending step are skipped, so a second press has no effect.
 * Releasing an order whose claim is still unsent removes the claim. Returns undefined if the outbox is full.
 */
export function add(outbox: Outbox, actions: Action[]): Outbox | undefined {
  const leaving = new Set(outbox.actions.filter(({ work }) => finishes(work)).map(({ order }) => order.id));
  const fresh = actions.filter(({ order }) => !leaving.has(order.id));
  const unsent = outbox.actions.find((is) => is.state === "held" && is.work.kind === "claim" && fresh.some(({ order, work }) => work.kind === "release" && order.id === is.order.id));
  if (unsent) return { ...outbox, actions: outbox.actions.filter((is) => is !== unsent) };
  if (outbox.actions.length + fresh.length > actionsAtMost) return undefined;
  return { ...outbox, actions: [...outbox.actions, ...fresh] };
}

/** Removes the actions of a batch that have not been sent yet. */
export function undo(outbox: Outbox, batch: string): Outbox {
  return { ...outbox, actions: outbox.actions.filter((action) => action.batch !== batch || action.state !== "held") };
}

/** Returns the latest batch of a stage that can still be undone. Claims are released, not undone. */
export function lastUndoable(outbox: Outbox, stage: string): string | undefined {
  return outbox.actions.findLast((action) => action.stage === stage && action.state === "held" && finishes(action.work))?.batch;
}

/** Makes every held action due at once; used when the page is about to close. */
export function makeDue(outbox: Outbox, now: number): Outbox {
  return { ...outbox, actions: outbox.actions.map((action) => (action.due > now ? { ...action, due: now } : action)) };
}

/** Returns the actions to send now: those that are due, and only the oldest of each order, which keeps an order's actions in sequence. */
export function sendable(outbox: Outbox, now: number): Action[] {
  const before = new Set<string>();
  return outbox.actions.filter((action) => {
    const next = !before.has(action.order.id);
    before.add(action.order.id);
    return next && action.state !== "sending" && action.due <= now;
  });
}

/** Returns the earliest due time after now, or undefined if there is none. */
export function nextDue(outbox: Outbox, now: number): number | undefined {
  const dues = outbox.actions.map(({ due }) => due).filter((due) => due > now);
  return dues.length > 0 ? Math.min(...dues) : undefined;
}

export function mark(outbox: Outbox, key: string, state: ActionState): Outbox {
  return { ...outbox, actions: outbox.actions.map((action) => (action.key === key ? { ...action, state } : action)) };
}

/** Removes an action that another page of this browser has already got an answer for. */
export function forget(outbox: Outbox, key: string): Outbox {
  return { ...outbox, actions: outbox.actions.filter((action) => action.key !== key || action.state === "sending") };
}

/** Moves an action that the server has accepted to the done list. */
export function accepted(outbox: Outbox, key: string, at: number): Outbox {
  const action = outbox.actions.find((is) => is.key === key);
  if (!action) return outbox;
  const actions = outbox.actions.filter((is) => is !== action);
  if (!finishes(action.work)) return { ...outbox, actions };
  const { order, stage, by, work } = action;
  const done = [...outbox.done.filter((is) => is.key !== key), { key, order, stage, by, work, at }];
  const here = done.filter((is) => is.stage === stage);
  const tooOld = new Set(here.slice(0, -doneAtMost));
  return { ...outbox, actions, done: done.filter((is) => !tooOld.has(is)) };
}

/** Moves a refused action to the refusals. `again` says whether a retry may succeed. */
export function refused(outbox: Outbox, key: string, why: string, again: boolean): Outbox {
  const action = outbox.actions.find((is) => is.key === key);
  if (!action) return outbox;
  return {
    ...outbox,
    actions: outbox.actions.filter((is) => is !== action),
    refusals: [...outbox.refusals, { action, why, again }].slice(-refusalsAtMost),
  };
}

/** Removes a refusal that a worker has read. */
export function dismiss(outbox: Outbox, key: string): Outbox {
  return { ...outbox, refusals: outbox.refusals.filter(({ action }) => action.key !== key) };
}

/** Queues a refused action again under its own key, if a retry may succeed. */
export function retry(outbox: Outbox, key: string): Outbox {
  const refusal = outbox.refusals.find(({ action }) => action.key === key);
  if (!refusal?.again) return outbox;
  return add(dismiss(outbox, key), [{ ...refusal.action, state: "waiting" }]) ?? outbox;
}

/** Indexes unanswered actions by order ID; the latest of an order wins. */
export function pendingByOrder(actions: Action[]): Partial<Record<string, Action>> {
  return Object.fromEntries(actions.map((action) => [action.order.id, action]));
}

/** Returns the claimant of an order, as if its pending action had already been accepted. */
export function claimant(order: Order, action: Action | undefined): string | undefined {
  if (action?.work.kind === "claim") return order.claimedBy ?? action.by;
  if (action?.work.kind === "release" && order.claimedBy === action.by) return undefined;
  return order.claimedBy;
}

/** Returns the orders that this worker can act on now: claimed by nobody else, not done, and without a pending step. */
export function actionable(orders: Order[], by: string, pending: Partial<Record<string, Action>>, done: Partial<Record<string, unknown>>): Order[] {
  return orders.filter((order) => {
    const action = pending[order.id];
    const who = claimant(order, action);
    return (!who || who === by) && !done[order.id] && (!action || !finishes(action.work));
  });
}
