import { isNotFound, type CallError } from "../../api/problem";
import type { Order } from "../../api/types";
import { askForChange, pause, rest, retryAfter, wait } from "../../api/wait";

/** What is known of an order that is followed. */
export interface Followed {
  order?: Order;
  /** Why the last call failed; absent while what is known is true. */
  error?: CallError;
  /** When what is known was last true, in milliseconds. */
  asOf?: number;
}

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
    // A page may be opened a moment before the order shows up in the server's view.
    const answer = await askForChange<Order>(`/order/${encodeURIComponent(id)}`, etag, etag ? wait : 3, signal);
    if (signal.aborted) return;
    if ("error" in answer) {
      show({ ...known, error: answer.error });
      if (isNotFound(answer.error)) return;
      await rest(retryAfter(failures++), signal);
      continue;
    }
    failures = 0;
    if (answer.now) {
      etag = answer.etag;
      show({ order: answer.now, asOf: Date.now() });
    } else {
      show({ ...(known.order && { order: known.order }), asOf: Date.now() });
    }
    if (known.order?.state === "done" || known.order?.remadeAs) return;
    await rest(pause, signal);
  }
}
