import { isNotFound, type CallError } from "../../api/problem";
import type { Order } from "../../api/types";

/** What is known of an order that is followed. */
export interface Followed {
  order?: Order;
  /** Why the last call failed; absent while what is known is true. */
  error?: CallError;
  /** When what is known was last true, in milliseconds. */
  asOf?: number;
}

/** How long the server may hold an answer back while nothing changes: what is shown as live is at most that old. */
const wait = 10;
/** An answer that is later than the server promised is not coming any more. */
const patience = (wait + 5) * 1000;
/** Between two calls: an order changes in steps, and a server that is too busy to wait answers at once. */
const pause = 300;
const [firstRetry, lastRetry] = [1000, 8000];

/**
 * Follows an order: each call waits at the server until something has changed, so that a change shows at once and an
 * order that waits costs nearly nothing. It ends with the signal, with an order that is unknown, and with one to which
 * nothing more can happen. Failures are retried for ever, at once when the network is back.
 */
export async function follow(id: string, tell: (now: Followed) => void, signal: AbortSignal): Promise<void> {
  let known: Followed = {};
  let etag = "";
  let failures = 0;
  const show = (now: Followed) => {
    known = now;
    tell(now);
  };
  for (;;) {
    const answer = await ask(id, etag, signal);
    if (signal.aborted) return;
    if ("error" in answer) {
      show({ ...known, error: answer.error });
      if (isNotFound(answer.error)) return;
      await rest(Math.min(firstRetry * 2 ** failures++, lastRetry) * (0.75 + Math.random() / 2), signal);
      continue;
    }
    failures = 0;
    if (answer.order) {
      etag = answer.etag;
      show({ order: answer.order, asOf: Date.now() });
    } else {
      show({ ...(known.order && { order: known.order }), asOf: Date.now() });
    }
    if (known.order?.state === "done" || known.order?.remadeAs) return;
    await rest(pause, signal);
  }
}

type Answer = { order: Order | undefined; etag: string } | { error: CallError };

async function ask(id: string, etag: string, signal: AbortSignal): Promise<Answer> {
  const lost = new AbortController();
  const lose = () => { lost.abort(); };
  window.addEventListener("offline", lose); // A call that waits would notice it late.
  try {
    const response = await fetch(`${location.origin}/api/v1/order/${encodeURIComponent(id)}`, {
      // A page may be opened a moment before the order shows up in the server's view.
      headers: { Prefer: `wait=${etag ? wait : 3}`, ...(etag && { "If-None-Match": etag }) },
      cache: "no-store",
      signal: AbortSignal.any([signal, AbortSignal.timeout(patience), lost.signal]),
    });
    if (response.status === 304) return { order: undefined, etag };
    const body: unknown = await response.json();
    if (!response.ok) return { error: { status: response.status, data: body } };
    return { order: body as Order, etag: response.headers.get("ETag") ?? "" };
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    return { error: { status: late ? "TIMEOUT_ERROR" : "FETCH_ERROR", error: String(error) } };
  } finally {
    window.removeEventListener("offline", lose);
  }
}

/** Returns after so many milliseconds, or sooner when there is a reason to look. */
function rest(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    window.addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}
