import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { followStation, type FeedEvent } from "./stationFeed";

interface Policy {
  nextRetryDelayInMilliseconds: (context: { previousRetryCount: number }) => number | null;
}

interface Hub {
  reconnecting: () => void;
  handlers: Partial<Record<string, (...received: unknown[]) => void>>;
  closed: () => void;
  policy?: Policy;
  url: string;
}

// A fake connection: the test decides whether start succeeds and which messages arrive.
const hub = vi.hoisted(() => {
  const made: Hub = { handlers: {}, closed: () => {}, reconnecting: () => {}, url: "" };
  return { ...made, start: vi.fn<() => Promise<void>>(), stop: vi.fn(() => Promise.resolve()) };
});

vi.mock("@microsoft/signalr", () => ({
  HttpTransportType: { WebSockets: 1 },
  LogLevel: { None: 6 },
  HubConnectionBuilder: class {
    withUrl(url: string) {
      hub.url = url;
      return this;
    }
    withAutomaticReconnect(policy: Policy) {
      hub.policy = policy;
      return this;
    }
    withServerTimeout() {
      return this;
    }
    configureLogging() {
      return this;
    }
    build() {
      return {
        on: (name: string, handler: (...received: unknown[]) => void) => { hub.handlers[name] = handler; },
        onreconnecting: (handler: () => void) => { hub.reconnecting = handler; },
        set baseUrl(url: string) { hub.url = url; },
        onclose: (handler: () => void) => { hub.closed = handler; },
        start: hub.start,
        stop: hub.stop,
      };
    }
  },
}));

const mixing = { topic: "orderrequests", event: "InformNewOrderToMix", role: "mixer", person: "Ana" };

describe("followStation", () => {
  let received: FeedEvent[][];
  const onEvents = (events: FeedEvent[]) => { received.push(events); };

  beforeEach(() => {
    vi.useFakeTimers();
    received = [];
    hub.start.mockReset().mockResolvedValue();
    hub.stop.mockClear();
  });
  afterEach(() => { vi.useRealTimers(); });

  it("subscribes to the station and passes events on in order and in one batch", async () => {
    followStation(mixing, onEvents);
    hub.handlers.InformNewOrderToMix?.({ id: "a" });
    hub.handlers.InformOrderLeft?.("a");
    hub.handlers.InformSynced?.({ waiting: 0 });
    await vi.advanceTimersByTimeAsync(100);
    expect(hub.url).toBe(`${location.origin}/ordermonitorhub?consumergroup=mixer&topic=orderrequests&person=Ana&after=`);
    expect(received).toEqual([[{ type: "arrived", order: { id: "a" } }, { type: "left", id: "a" }, { type: "synced", resumed: false }]]);
  });

  it("reconnects with the position of the last applied event", () => {
    followStation(mixing, onEvents);
    const after = () => new URL(hub.url, location.href).searchParams.get("after");
    const cut = () => {
      hub.policy?.nextRetryDelayInMilliseconds({ previousRetryCount: 0 });
      hub.reconnecting();
    };
    hub.handlers.InformNewOrderToMix?.({ id: "a" });
    cut();
    expect(after()).toBe("");
    hub.handlers.InformNewOrderToMix?.({ id: "a" });
    hub.handlers.InformSynced?.({ waiting: 1, resumed: false }, "x-7");
    cut();
    expect(after()).toBe("x-7");
    hub.handlers.InformOrderLeft?.("a", "x-8"); // Not synced yet.
    cut();
    expect(after()).toBe("x-7");
    hub.handlers.InformOrderLeft?.("a", "x-8");
    hub.handlers.InformSynced?.({ resumed: true }, "x-8");
    hub.handlers.InformNewOrderToMix?.({ id: "b" }, "x-9");
    cut();
    expect(after()).toBe("x-9");
  });

  it("reports the lag of the server", async () => {
    followStation(mixing, onEvents);
    hub.handlers.InformFreshness?.({ behind: 12, because: "broker", stage: "mixing" });
    await vi.advanceTimersByTimeAsync(100);
    expect(received.flat()).toMatchObject([{ type: "fresh", behind: 12, because: "broker", stage: "mixing" }]);
  });

  it("retries the first start without limit", async () => {
    hub.start.mockRejectedValue(new Error("refused"));
    followStation(mixing, onEvents);
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    const tries = hub.start.mock.calls.length;
    expect(tries).toBeGreaterThan(50);
    hub.start.mockResolvedValue();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(hub.start).toHaveBeenCalledTimes(tries + 1);
    expect(received.flat().map((event) => event.type === "lost" && event.failures).slice(0, 3)).toEqual([1, 2, 3]);
  });

  it("reports each loss and never stops reconnecting", async () => {
    followStation(mixing, onEvents);
    for (const previousRetryCount of [0, 1, 500]) {
      expect(hub.policy?.nextRetryDelayInMilliseconds({ previousRetryCount })).toBeTypeOf("number");
    }
    await vi.advanceTimersByTimeAsync(100);
    expect(received.flat()).toMatchObject([{ type: "lost", failures: 0 }, { type: "lost", failures: 1 }, { type: "lost", failures: 500 }]);
  });

  it("restarts after the server has closed the connection", async () => {
    followStation(mixing, onEvents);
    await vi.advanceTimersByTimeAsync(0);
    hub.closed();
    await vi.advanceTimersByTimeAsync(1000);
    expect(hub.start).toHaveBeenCalledTimes(2);
    expect(received.flat()).toMatchObject([{ type: "lost", failures: 0 }]);
  });

  it("reports nothing once stopped", async () => {
    hub.start.mockRejectedValue(new Error("refused"));
    const stop = followStation(mixing, onEvents);
    await vi.advanceTimersByTimeAsync(0);
    stop();
    hub.handlers.InformSynced?.({ waiting: 0 });
    hub.closed();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(hub.start).toHaveBeenCalledTimes(1);
    expect(hub.stop).toHaveBeenCalledTimes(1);
    expect(received).toEqual([]);
  });
});
