import { api } from "../../api/api";
import { problemText, type CallError } from "../../api/problem";
import { retryDelay } from "../../hub/retry";
import type { Store } from "../../store";
import { finishes, nextDue, sendable, type Action } from "./actions";
import { placeOf } from "./device";
import { answeredElsewhere, hurried, keyOf, refused, sent, taken, unanswered } from "./outboxSlice";
import { held } from "./stationSlice";

/** Statuses of a server, or of a proxy before it, that will have another answer soon. */
const later = [408, 425, 429, 502, 503, 504];
/** Statuses for which another attempt makes no difference. */
const final = [400, 404, 409, 413, 422];

/** Sends what is in the outbox, each action with its own key, for as long as it takes. */
export interface Sender {
  /** Tries at once: there is a reason to think that the connection is back. */
  wake: () => void;
  /** Sends what is held at once. */
  flush: () => void;
  /** Does that, and sends no more. */
  stop: () => void;
}

/**
 * Sends actions when they are due, one after the other in their order, and again after a while when there was no answer.
 * When the page is hidden or closed, nothing is held any longer.
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

  /** Wakes up when something is due, or when it may be tried again. */
  const plan = () => {
    clearTimeout(timer);
    if (stopped || running) return;
    const now = Date.now();
    const { outbox } = store.getState();
    const at = sendable(outbox, now).length > 0 ? Math.max(now, restUntil) : nextDue(outbox, now);
    // Without a network there is nothing to wait for but the event that it is back.
    if (at !== undefined && canSend()) timer = setTimeout(() => void run(), at - now);
  };

  const wake = () => {
    restUntil = 0;
    plan();
  };
  const flush = () => {
    store.dispatch(hurried(Date.now()));
    if (canSend()) for (const action of sendable(store.getState().outbox, Date.now())) void deliver(store, action);
  };
  const hidden = () => { if (document.visibilityState === "hidden") flush(); };
  const elsewhere = (event: StorageEvent) => {
    const key = event.newValue === null ? keyOf(placeOf(event) ?? "") : undefined;
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

/** A browser that says it has no network is right; one that says it has may be wrong. */
function canSend(): boolean {
  return navigator.onLine;
}

/** Sends one action and notes the answer. */
async function deliver(store: Store, action: Action): Promise<"answered" | "busy" | "unreachable"> {
  store.dispatch(sent(action.key));
  const { error } = await send(store, action);
  if (!error) {
    if (!finishes(action.work)) store.dispatch(held({ id: action.order.id, by: action.by, on: action.work.kind === "claim" }));
    store.dispatch(taken({ key: action.key, at: Date.now() }));
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
      return store.dispatch(api.endpoints.hold.initiate({ key, id, by, how: work.kind }, { track: false }));
  }
}
