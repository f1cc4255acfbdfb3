import { HttpTransportType, HubConnectionBuilder, LogLevel } from "@microsoft/signalr";
import type { Order, Station } from "../api/types";
import { retryDelay } from "./retry";

/** What a station's feed tells, in order. After `lost`, everything is told anew, up to the next `synced`. */
export type FeedEvent =
  | { type: "arrived"; order: Order }
  | { type: "left"; id: string }
  | { type: "synced" }
  | { type: "lost"; failures: number; at: number };

/** Events are handed on together once per frame, so that a snapshot of thousands costs a few renders, not thousands. */
const frame = 16;

/** A server that says nothing for this long, pings included, is gone. It pings at least every 15 s. */
const silence = 20_000;

/**
 * Follows one station of the hub, as one of the consumer group of its role, until the returned function is called, reconnecting for as long as it takes.
 * `lost` is told at once when the connection breaks and again after each failed attempt, the first one included.
 */
export function followStation(
  { topic, event, role, person }: Pick<Station, "topic" | "event" | "role"> & { person: string },
  tell: (events: FeedEvent[]) => void,
): () => void {
  let stopped = false;
  let told: FeedEvent[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  const push = (next: FeedEvent) => {
    if (stopped) return;
    told.push(next);
    timer ??= setTimeout(flush, frame);
  };
  const flush = () => {
    timer = undefined;
    const events = told;
    told = [];
    tell(events);
  };

  // A snapshot may come in before start() or the reconnect is reported as done, so what resets the list is the loss.
  const lost = (failures: number) => {
    push({ type: "lost", failures, at: Date.now() });
    return retryDelay(failures);
  };

  const query = new URLSearchParams({ consumergroup: role, topic, person });
  const connection = new HubConnectionBuilder()
    .withUrl(`/ordermonitorhub?${query}`, { transport: HttpTransportType.WebSockets })
    .withAutomaticReconnect({ nextRetryDelayInMilliseconds: (retry) => lost(retry.previousRetryCount) })
    .withServerTimeout(silence)
    .configureLogging(LogLevel.None)
    .build();
  connection.on(event, (order: Order) => { push({ type: "arrived", order }); });
  connection.on("InformOrderLeft", (id: string) => { push({ type: "left", id }); });
  connection.on("InformSynced", () => { push({ type: "synced" }); });

  // Automatic reconnect covers neither the first start nor a server that closes for good.
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const start = (failures: number) => {
    connection.start().catch(() => {
      if (stopped) return;
      const delay = lost(failures + 1);
      waiting = setTimeout(() => { start(failures + 1); }, delay);
    });
  };
  connection.onclose(() => {
    if (!stopped) waiting = setTimeout(() => { start(0); }, lost(0));
  });
  start(0);

  return () => {
    stopped = true;
    clearTimeout(timer);
    clearTimeout(waiting);
    void connection.stop();
  };
}
