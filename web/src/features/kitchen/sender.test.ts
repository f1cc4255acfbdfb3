import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { newStore, type Store } from "../../store";
import { problem, stubServer, type Call } from "../../testServer";
import { undoWindow, type Action, type Operation } from "./actions";
import { acted, undone } from "./outboxSlice";
import { startSending, type Sender } from "./sender";

const mixing: Operation = { kind: "advance", verb: "mix", done: "mixed" };

function action(key: string, work: Operation = mixing, due = Date.now() + undoWindow): Action {
  return { key, batch: key, order: { id: `order-${key}`, flavour: "Lemon", size: "M", quantity: 2 }, stage: "mixing", by: "Ana", work, made: Date.now(), due, state: "held" };
}

describe("the sender", () => {
  let store: Store;
  let sender: Sender | undefined;
  let online: boolean;

  beforeEach(() => {
    vi.useFakeTimers();
    localStorage.clear();
    online = true;
    vi.spyOn(navigator, "onLine", "get").mockImplementation(() => online);
    store = newStore();
  });
  afterEach(() => {
    sender?.stop();
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
  const start = (answer: (call: Call) => Response | Promise<Response> = () => Response.json({})) => {
    const calls = stubServer(answer);
    sender = startSending(store);
    return calls;
  };
  const seconds = (some: number) => vi.advanceTimersByTimeAsync(some * 1000);
  const outbox = () => store.getState().outbox;

  it("holds an action for the undo window, then sends it once", async () => {
    const calls = start();
    store.dispatch(acted([action("1")]));
    await seconds(2.9);
    expect(calls).toEqual([]);
    await seconds(0.2);
    expect(calls).toEqual([{ method: "POST", path: "/api/v1/order/mix", key: "1", body: { Order: { Id: "order-1", MixedBy: "Ana" } } }]);
    expect(outbox()).toMatchObject({ actions: [], done: [{ key: "1", by: "Ana" }] });
    await seconds(60);
    expect(calls).toHaveLength(1);
  });

  it("does not send undone actions", async () => {
    const calls = start();
    store.dispatch(acted([action("1")]));
    await seconds(2);
    store.dispatch(undone("1"));
    await seconds(60);
    expect(calls).toEqual([]);
    expect(Object.keys(localStorage).filter((key) => key.includes("action"))).toEqual([]);
  });

  it("sends claims and releases at once, and rejections with their reason", async () => {
    const calls = start();
    store.dispatch(acted([action("1", { kind: "claim" }, 0), action("2", { kind: "release" }, 0), action("3", { kind: "reject", reason: "Burnt" }, 0)]));
    await seconds(0.1);
    expect(calls.map(({ path, body }) => [path, body])).toEqual([
      ["/api/v1/order/claim", { Order: { Id: "order-1" }, By: "Ana" }],
      ["/api/v1/order/release", { Order: { Id: "order-2" }, By: "Ana" }],
      ["/api/v1/order/reporterror", { Order: { Id: "order-3" }, Reason: "Burnt", ReportedBy: "Ana" }],
    ]);
  });

  it("retries the first action, then sends the rest in order with their keys", async () => {
    let away = true;
    const calls = start(() => {
      if (away) throw new TypeError("fetch failed");
      return Response.json({});
    });
    store.dispatch(acted([action("1"), action("2"), action("3")]));
    await seconds(60);
    expect(new Set(calls.map(({ key }) => key))).toEqual(new Set(["1"]));
    expect(calls.length).toBeGreaterThan(3);
    expect(outbox().actions.map(({ state }) => state)).toEqual(["waiting", "held", "held"]);
    away = false;
    calls.length = 0;
    sender?.wake();
    await seconds(0.1);
    expect(calls.map(({ key }) => key)).toEqual(["1", "2", "3"]);
    expect(outbox().actions).toEqual([]);
  });

  it("sends nothing while offline, and actions can still be undone", async () => {
    const calls = start();
    online = false;
    store.dispatch(acted([action("1"), action("2")]));
    await seconds(600);
    expect(calls).toEqual([]);
    store.dispatch(undone("1"));
    online = true;
    window.dispatchEvent(new Event("online"));
    await seconds(0.1);
    expect(calls.map(({ key }) => key)).toEqual(["2"]);
  });

  it("continues with other orders when one gets a temporary error", async () => {
    let ready = false;
    const calls = start(({ key }) => (key === "1" && !ready ? problem(503, "The line is starting.") : Response.json({})));
    store.dispatch(acted([action("1"), action("2")]));
    await seconds(3.1);
    expect(calls.map(({ key }) => key)).toEqual(["1", "2"]);
    ready = true;
    await seconds(20);
    expect(calls.map(({ key }) => key)).toEqual(["1", "2", "1"]);
    expect(outbox().done).toHaveLength(2);
  });

  it("reports a refusal and does not retry", async () => {
    const calls = start(() => problem(409, "claimed by Ana"));
    store.dispatch(acted([action("1")]));
    await seconds(60);
    expect(calls).toHaveLength(1);
    expect(outbox()).toMatchObject({ actions: [], done: [], refusals: [{ why: "claimed by Ana", again: false }] });
  });

  it("offers a manual retry after a 500", async () => {
    start(() => problem(500, "Broken."));
    store.dispatch(acted([action("1")]));
    await seconds(4);
    expect(outbox().refusals).toMatchObject([{ again: true }]);
  });

  it("sends held actions when the page is closed", async () => {
    const calls = start();
    store.dispatch(acted([action("1"), action("2")]));
    window.dispatchEvent(new Event("pagehide"));
    await seconds(0);
    expect(calls.map(({ key }) => key)).toEqual(["1", "2"]);
    await seconds(10);
    expect(calls).toHaveLength(2);
  });

  it("resumes unanswered actions after a reload", async () => {
    online = false;
    start();
    store.dispatch(acted([action("1"), action("2")]));
    await seconds(5);
    sender?.stop();
    online = true;
    store = newStore();
    expect(outbox().actions.map(({ key }) => key)).toEqual(["1", "2"]);
    const calls = start();
    await seconds(0.1);
    expect(calls.map(({ key }) => key)).toEqual(["1", "2"]);
    store = newStore();
    expect(outbox()).toMatchObject({ actions: [], done: [{ key: "1" }, { key: "2" }] });
  });

  it("drops an action that another page of this browser got an answer for", async () => {
    const calls = start();
    store.dispatch(acted([action("1")]));
    window.dispatchEvent(new StorageEvent("storage", { key: "ecupcakes.kitchen.action.1", newValue: null }));
    await seconds(10);
    expect(calls).toEqual([]);
  });
});
