import { HttpTransportType, HubConnectionBuilder, LogLevel } from "@microsoft/signalr";
import type { Order, Station } from "../api/types";
import { retryDelay } from "./retry";

/**
 * Events of a station's feed, in order. Events after a `lost` take effect only with the next `synced`: they are then either
 * the missed events (`resumed`) or a full snapshot. `behind` is the server's lag in seconds; 0 means live.
 */
export type FeedEvent =
  | { type: "arrived"; order: Order }
  | { type: "left"; id: string }
  | { type: "synced"; resumed: boolean }
  | { type: "fresh"; behind: number; because: string; stage: string; at: number }
  | { type: "lost"; failures: number; at: number };

/** Events are passed on in batches once per frame, in milliseconds, so that a snapshot of thousands takes only a few renders. */
const frame = 16;

/** Milliseconds without any message, pings included, before the connection counts as lost. The server pings at least every 15 s. */
const silence = 20_000;

/**
 * Follows a station as a member of its role's consumer group, and reconnects without limit, until the returned function is
 * called. `lost` is reported as soon as the connection breaks and after each failed attempt to connect.
 */
export function followStation(
  { topic, event, role, person }: Pick<Station, "topic" | "event" | "role"> & { person: string },
  onEvents: (events: FeedEvent[]) => void,
): () => void {
  let stopped = false;
  let buffered: FeedEvent[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  const push = (next: FeedEvent) => {
    if (stopped) return;
    buffered.push(next);
    timer ??= setTimeout(flush, frame);
  };
  const flush = () => {
    timer = undefined;
    const events = buffered;
    buffered = [];
    onEvents(events);
  };

  // The server replays missed events after this position if its log still has them. The position advances only while the
  // feed is synced, as earlier events have not taken effect yet.
  let position = "";
  let receivedPosition = "";
  let synced = false;
  const receive = (event: FeedEvent, at: string | undefined) => {
    receivedPosition = at ?? receivedPosition;
    if (event.type === "synced") synced = true;
    if (synced) position = receivedPosition;
    push(event);
  };

  // A snapshot may arrive before start() or the reconnect resolves. The list is therefore reset on the loss.
  const lost = (failures: number) => {
    synced = false;
    receivedPosition = position;
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
  connection.on(event, (order: Order, at?: string) => { receive({ type: "arrived", order }, at); });
  connection.on("InformOrderLeft", (id: string, at?: string) => { receive({ type: "left", id }, at); });
  connection.on("InformSynced", ({ resumed = false }: { resumed?: boolean }, at?: string) => { receive({ type: "synced", resumed }, at); });
  connection.on("InformFreshness", (fresh: { behind: number; because: string; stage: string }) => {
    push({ type: "fresh", ...fresh, at: Date.now() });
  });
  const updateAddress = () => { connection.baseUrl = new URL(address(), location.href).href; };
  connection.onreconnecting(updateAddress);

  // Automatic reconnect covers neither the first start nor a connection that the server has closed.
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const start = (failures: number) => {
    updateAddress();
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
