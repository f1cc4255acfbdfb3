import { HttpTransportType, HubConnectionBuilder, LogLevel } from "@microsoft/signalr";
import type { Order, Station } from "../api/types";
import { retryDelay } from "./retry";

/**
 * What a station's feed tells, in order. What follows a `lost` counts only once `synced` comes: then it is either all that
 * was missed (`resumed`), or everything there is. `behind` is how far the server is behind then, in seconds; 0 is live.
 */
export type FeedEvent =
  | { type: "arrived"; order: Order }
  | { type: "left"; id: string }
  | { type: "synced"; resumed: boolean }
  | { type: "fresh"; behind: number; because: string; stage: string; at: number }
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

  // With its last position the page gets what it missed, if the server still has that. While it is not synced, what it
  // hears does not count yet.
  let position = "";
  let heard = "";
  let synced = false;
  const hear = (event: FeedEvent, at: string | undefined) => {
    heard = at ?? heard;
    if (event.type === "synced") synced = true;
    if (synced) position = heard;
    push(event);
  };

  // A snapshot may come in before start() or the reconnect is reported as done, so what resets the list is the loss.
  const lost = (failures: number) => {
    synced = false;
    heard = position;
    push({ type: "lost", failures, at: Date.now() });
    return retryDelay(failures);
  };

  const address = () => `/ordermonitorhub?${new URLSearchParams({ consumergroup: role, topic, person, after: position })}`;
  const connection = new HubConnectionBuilder()
    .withUrl(address(), { transport: HttpTransportType.WebSockets })
    .withAutomaticReconnect({ nextRetryDelayInMilliseconds: (retry) => lost(retry.previousRetryCount) })
    .withServerTimeout(silence)
    .configureLogging(LogLevel.None)
    .build();
  connection.on(event, (order: Order, at?: string) => { hear({ type: "arrived", order }, at); });
  connection.on("InformOrderLeft", (id: string, at?: string) => { hear({ type: "left", id }, at); });
  connection.on("InformSynced", ({ resumed = false }: { resumed?: boolean }, at?: string) => { hear({ type: "synced", resumed }, at); });
  connection.on("InformFreshness", (fresh: { behind: number; because: string; stage: string }) => {
    push({ type: "fresh", ...fresh, at: Date.now() });
  });
  const relocate = () => { connection.baseUrl = new URL(address(), location.href).href; };
  connection.onreconnecting(relocate);

  // Automatic reconnect covers neither the first start nor a server that closes for good.
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const start = (failures: number) => {
    relocate();
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
