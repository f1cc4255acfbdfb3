import { api } from "../../api/api";
import { problemText, type CallError } from "../../api/problem";
import { retryDelay } from "../../hub/retry";
import type { Store } from "../../store";
import { finishes, nextDue, sendable, type Action } from "./actions";
import { storedKeyOf } from "./device";
import { answeredElsewhere, flushed, actionKeyFrom, refused, sent, accepted, unanswered } from "./outboxSlice";
import { claimChanged } from "./stationSlice";

/** Temporary statuses of the server or of a proxy: retry later. */
const later = [408, 425, 429, 502, 503, 504];
/** Permanent statuses: a retry cannot succeed. */
const final = [400, 404, 409, 413, 422];

/** Sends the actions in the outbox, each with its own Idempotency-Key, and retries without limit. */
export interface Sender {
  /** Retries now, without waiting for the back-off; called when the connection seems to be back. */
  wake: () => void;
  /** Sends held actions now. */
  flush: () => void;
  /** Flushes the outbox and stops. */
  stop: () => void;
}

/**
 * Sends actions one at a time and in order once they are due, and retries unanswered ones with back-off.
 * Held actions are sent at once when the page is hidden or closed.
 */
export function startSending(store: Store): Sender {
  let stopped = false;
  let running = false;
  let failures = 0;
  let restUntil = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const run = async () => {
    if (running || stopped) return;
    running = true;
    const tried = new Set<string>();
    const next = () => (canSend() ? sendable(store.getState().outbox, Date.now()).find(({ key }) => !tried.has(key)) : undefined);
    let missed = false;
    for (let action = next(); action; action = next()) {
      tried.add(action.key);
      const outcome = await deliver(store, action);
      missed ||= outcome !== "answered";
      if (outcome === "unreachable") break;
    }
    running = false;
    failures = missed ? failures + 1 : 0;
    restUntil = missed ? Date.now() + retryDelay(failures) : 0;
    plan();
  };

  /** Schedules the next run for when an action is due or the back-off ends. */
  const plan = () => {
    clearTimeout(timer);
    if (stopped || running) return;
    const now = Date.now();
    const { outbox } = store.getState();
    const at = sendable(outbox, now).length > 0 ? Math.max(now, restUntil) : nextDue(outbox, now);
    // Without a network no timer is needed: the `online` event calls wake.
    if (at !== undefined && canSend()) timer = setTimeout(() => void run(), at - now);
  };

  const wake = () => {
    restUntil = 0;
    plan();
  };
  const flush = () => {
    store.dispatch(flushed(Date.now()));
    if (canSend()) for (const action of sendable(store.getState().outbox, Date.now())) void deliver(store, action);
  };
  const hidden = () => { if (document.visibilityState === "hidden") flush(); };
  const elsewhere = (event: StorageEvent) => {
    const key = event.newValue === null ? actionKeyFrom(storedKeyOf(event) ?? "") : undefined;
    if (key) store.dispatch(answeredElsewhere(key));
  };

  let known = store.getState().outbox.actions;
  const forgetStore = store.subscribe(() => {
    const { actions } = store.getState().outbox;
    if (actions === known) return;
    known = actions;
    plan();
  });
  window.addEventListener("online", wake);
  window.addEventListener("pagehide", flush);
  window.addEventListener("storage", elsewhere);
  document.addEventListener("visibilitychange", hidden);
  plan();

  return {
    wake,
    flush,
    stop: () => {
      flush();
      stopped = true;
      clearTimeout(timer);
      forgetStore();
      window.removeEventListener("online", wake);
      window.removeEventListener("pagehide", flush);
      window.removeEventListener("storage", elsewhere);
      document.removeEventListener("visibilitychange", hidden);
    },
  };
}

/** Trusts the browser when it reports no network; when it reports one, requests may still fail. */
function canSend(): boolean {
  return navigator.onLine;
}

/** Sends one action and records the outcome. */
async function deliver(store: Store, action: Action): Promise<"answered" | "busy" | "unreachable"> {
  store.dispatch(sent(action.key));
  const { error } = await send(store, action);
  if (!error) {
    if (!finishes(action.work)) store.dispatch(claimChanged({ id: action.order.id, by: action.by, on: action.work.kind === "claim" }));
    store.dispatch(accepted({ key: action.key, at: Date.now() }));
    return "answered";
  }
  const status = "status" in error ? error.status : undefined;
  if (typeof status === "number" && !later.includes(status)) {
    store.dispatch(refused({ key: action.key, why: problemText(error), again: !final.includes(status) }));
    return "answered";
  }
  store.dispatch(unanswered(action.key));
  return typeof status === "number" ? "busy" : "unreachable";
}

async function send(store: Store, { key, order: { id }, by, work }: Action): Promise<{ error?: CallError }> {
  switch (work.kind) {
    case "advance":
      return store.dispatch(api.endpoints.advance.initiate({ key, id, by, station: work }, { track: false }));
    case "reject":
      return store.dispatch(api.endpoints.reject.initiate({ key, id, by, reason: work.reason }, { track: false }));
    default:
      return store.dispatch(api.endpoints.changeClaim.initiate({ key, id, by, how: work.kind }, { track: false }));
  }
}
