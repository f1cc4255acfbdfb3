import type { Order, Station } from "../../api/types";

/** What a worker does with an order. */
export type Work =
  | ({ kind: "advance" } & Pick<Station, "verb" | "done">)
  | { kind: "reject"; reason: string }
  | { kind: "claim" }
  | { kind: "release" };

/**
 * - `held`: never sent, so it can still be undone; until it is due, or for as long as there is no network.
 * - `sending`: on its way.
 * - `waiting`: sent without an answer. The line may have it or not, so it is sent again with the same key.
 */
export type ActionState = "held" | "sending" | "waiting";

/** One thing that a worker did, from the press of the button until the line has answered. */
export interface Action {
  /** The Idempotency-Key, the same however often it is sent; also its name here. */
  key: string;
  /** What was done with one press, and is undone with one. */
  batch: string;
  order: Pick<Order, "id" | "flavour" | "size" | "quantity">;
  stage: string;
  by: string;
  work: Work;
  /** When it was done, and before when it is not sent, in milliseconds. */
  made: number;
  due: number;
  state: ActionState;
}

/** What the line has taken from this screen. */
export type Done = Pick<Action, "key" | "order" | "stage" | "by" | "work"> & { at: number };

/** What the line did not take, and why. */
export interface Refusal {
  action: Action;
  why: string;
  /** It may go another time, with the same key. */
  again: boolean;
}

export interface Outbox {
  /** Oldest first. */
  actions: Action[];
  /** They stay until somebody has read them. */
  refusals: Refusal[];
  /** Oldest first. */
  done: Done[];
}

/** How long MIX and REJECT can be undone, in milliseconds. */
export const undoWindow = 3000;

/** As many actions as wait for the connection at most: more than a screen's worth of work in an outage. */
export const actionsAtMost = 200;

/** As many refusals as are kept; of more, the oldest are forgotten. */
export const refusalsAtMost = 20;

/** As much as is kept of what was done at a stage: some may not have left the screen yet. */
export const doneAtMost = 100;

export const nothing: Outbox = { actions: [], refusals: [], done: [] };

/** Moves an order on or off the station, as claims do not. */
export function finishes(work: Work): boolean {
  return work.kind === "advance" || work.kind === "reject";
}

/**
 * Adds what was done with one press. An order that is on its way already is left out, so two presses are one; giving back
 * what was not yet claimed undoes the claim. If there is no room, nothing of it is done.
 */
export function add(outbox: Outbox, actions: Action[]): Outbox | undefined {
  const leaving = new Set(outbox.actions.filter(({ work }) => finishes(work)).map(({ order }) => order.id));
  const fresh = actions.filter(({ order }) => !leaving.has(order.id));
  const unsent = outbox.actions.find((is) => is.state === "held" && is.work.kind === "claim" && fresh.some(({ order, work }) => work.kind === "release" && order.id === is.order.id));
  if (unsent) return { ...outbox, actions: outbox.actions.filter((is) => is !== unsent) };
  if (outbox.actions.length + fresh.length > actionsAtMost) return undefined;
  return { ...outbox, actions: [...outbox.actions, ...fresh] };
}

/** Takes back what was done with one press, as far as it has not been sent. */
export function undo(outbox: Outbox, batch: string): Outbox {
  return { ...outbox, actions: outbox.actions.filter((action) => action.batch !== batch || action.state !== "held") };
}

/** The batch that was done last at a stage and can still be undone. Claims are given back, not undone. */
export function lastHeld(outbox: Outbox, stage: string): string | undefined {
  return outbox.actions.findLast((action) => action.stage === stage && action.state === "held" && finishes(action.work))?.batch;
}

/** Nothing is held any longer: the page is about to go. */
export function hurry(outbox: Outbox, now: number): Outbox {
  return { ...outbox, actions: outbox.actions.map((action) => (action.due > now ? { ...action, due: now } : action)) };
}

/** What can be sent now: what is due, and of one order only the oldest, so that it sees them in their order. */
export function sendable(outbox: Outbox, now: number): Action[] {
  const before = new Set<string>();
  return outbox.actions.filter((action) => {
    const next = !before.has(action.order.id);
    before.add(action.order.id);
    return next && action.state !== "sending" && action.due <= now;
  });
}

/** When something is due next; nothing if nothing is held. */
export function nextDue(outbox: Outbox, now: number): number | undefined {
  const dues = outbox.actions.map(({ due }) => due).filter((due) => due > now);
  return dues.length > 0 ? Math.min(...dues) : undefined;
}

export function mark(outbox: Outbox, key: string, state: ActionState): Outbox {
  return { ...outbox, actions: outbox.actions.map((action) => (action.key === key ? { ...action, state } : action)) };
}

/** Drops an action, for another page of this browser has had its answer. */
export function forget(outbox: Outbox, key: string): Outbox {
  return { ...outbox, actions: outbox.actions.filter((action) => action.key !== key || action.state === "sending") };
}

/** The line has taken it. */
export function taken(outbox: Outbox, key: string, at: number): Outbox {
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

/** The line has not taken it, and would not if it were sent again, unless said otherwise. */
export function refused(outbox: Outbox, key: string, why: string, again: boolean): Outbox {
  const action = outbox.actions.find((is) => is.key === key);
  if (!action) return outbox;
  return {
    ...outbox,
    actions: outbox.actions.filter((is) => is !== action),
    refusals: [...outbox.refusals, { action, why, again }].slice(-refusalsAtMost),
  };
}

/** Somebody has read why. */
export function dismiss(outbox: Outbox, key: string): Outbox {
  return { ...outbox, refusals: outbox.refusals.filter(({ action }) => action.key !== key) };
}

/** Sends what was refused once more, with its key. */
export function retry(outbox: Outbox, key: string): Outbox {
  const refusal = outbox.refusals.find(({ action }) => action.key === key);
  if (!refusal?.again) return outbox;
  return add(dismiss(outbox, key), [{ ...refusal.action, state: "waiting" }]) ?? outbox;
}

/** What is still to be answered, by order. Of several actions on one order, the latest. */
export function byOrder(actions: Action[]): Partial<Record<string, Action>> {
  return Object.fromEntries(actions.map((action) => [action.order.id, action]));
}

/** Who is on an order, once what this screen has not yet been answered about is answered. */
export function holder(order: Order, action: Action | undefined): string | undefined {
  if (action?.work.kind === "claim") return order.claimedBy ?? action.by;
  if (action?.work.kind === "release" && order.claimedBy === action.by) return undefined;
  return order.claimedBy;
}
