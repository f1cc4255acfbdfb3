import { isNotFound, type CallError } from "../../api/problem";
import type { Order } from "../../api/types";
import { longPoll, pauseMilliseconds, sleep, retryAfter, longPollSeconds } from "../../api/wait";

/** The last known state of a followed order. */
export interface FollowedOrder {
  order?: Order;
  /** The error of the last call; absent while the order is current. */
  error?: CallError;
  /** When the order was last confirmed, in milliseconds. */
  asOf?: number;
}

/**
 * Follows an order by long polling, so that changes show at once and an idle order costs almost nothing. It ends when the
 * signal aborts, the order is unknown, or it can no longer change. Failures are retried without limit, and at once when the
 * network comes back.
 */
export async function follow(id: string, onUpdate: (now: FollowedOrder) => void, signal: AbortSignal): Promise<void> {
  let known: FollowedOrder = {};
  let etag = "";
  let failures = 0;
  const show = (now: FollowedOrder) => {
    known = now;
    onUpdate(now);
  };
  for (;;) {
    // The page may open a moment before the order appears in the server's view.
    const answer = await longPoll<Order>(`/order/${encodeURIComponent(id)}`, etag, etag ? longPollSeconds : 3, signal);
    if (signal.aborted) return;
    if ("error" in answer) {
      show({ ...known, error: answer.error });
      if (isNotFound(answer.error)) return;
      await sleep(retryAfter(failures++), signal);
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
    await sleep(pauseMilliseconds, signal);
  }
}
