import { act, cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { Provider } from "react-redux";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Order, Station } from "../../api/types";
import { newStore } from "../../store";
import { problem, stubServer, type Call } from "../../testServer";
import { signedIn } from "../session/sessionSlice";
import { StationScreen } from "./StationScreen";
import { received } from "./stationSlice";

window.scrollTo = () => undefined; // jsdom knows it, but cannot.

vi.mock("../../hub/laterStation", () => ({ laterStation: () => () => undefined }));

// jsdom knows <dialog> but not yet how to open one.
HTMLDialogElement.prototype.showModal = function () {
  this.open = true;
};
HTMLDialogElement.prototype.close = function () {
  this.open = false;
  setTimeout(() => this.dispatchEvent(new Event("close"))); // As late as browsers are with it.
};

const station: Station = {
  stage: "baking",
  role: "baker",
  verb: "bake",
  action: "BAKE",
  done: "baked",
  page: "baker",
  topic: "readytobake",
  event: "InformNewOrderToBake",
  waiting: 1,
  warnSeconds: 300,
  lateSeconds: 480,
  behindSeconds: 0,
};
const order: Order = {
  id: "0199-abcdef",
  flavour: "Lemon",
  size: "L",
  quantity: 3,
  status: "mixed",
  stage: "baking",
  state: "waiting",
  placedOn: "2030-01-01T08:00:00Z",
  arrivedOn: "2030-01-01T08:00:00Z",
  history: [],
};

const answer = (call: Call): Response => Response.json({ id: call.path });

/** Shows the card as a station's page does, with what the page was told of the queue. */
function show(shown: Order = order, answering: (call: Call) => Response | Promise<Response> = answer) {
  const calls = stubServer(answering);
  const store = newStore();
  store.dispatch(received([{ type: "arrived", order: shown }, { type: "synced", resumed: false }]));
  store.dispatch(signedIn({ name: "Ben", role: "baker" }));
  render(
    <Provider store={store}>
      <StationScreen station={station} />
    </Provider>,
  );
  // What the feed tells, once the page has begun to follow it.
  act(() => { store.dispatch(received([{ type: "arrived", order: shown }, { type: "synced", resumed: false }])); });
  return { calls, store, card: screen.getByRole("listitem") };
}

const button = (name: RegExp) => screen.getByRole("button", { name });
const seconds = (some: number) => act(() => vi.advanceTimersByTimeAsync(some * 1000));

beforeEach(() => {
  vi.useFakeTimers();
  localStorage.clear();
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

describe("an order's card", () => {
  it("shows what is to be done", () => {
    const { card } = show();
    for (const text of ["3 ×", "Lemon", "Large", "abcdef"]) expect(card.textContent).toContain(text);
  });

  it("holds the step for three seconds, does it in the worker's name, and rests until the hub takes it away", async () => {
    const { calls, store, card } = show();
    fireEvent.click(button(/^BAKE/));
    expect(card.textContent).toContain("Baked · sent in 3 s");
    expect(screen.queryByRole("button", { name: /^BAKE/ })).toBeNull();
    expect(calls).toEqual([]);
    await seconds(3.1);
    expect(calls).toMatchObject([{ method: "POST", path: "/api/v1/order/bake", body: { Order: { Id: order.id, BakedBy: "Ben" } } }]);
    expect(card.textContent).toContain("Baked");
    act(() => { store.dispatch(received([{ type: "left", id: order.id }])); });
    expect(screen.queryByRole("listitem")).toBeNull();
  });

  it("can be had back before that", async () => {
    const { calls } = show();
    fireEvent.click(button(/^BAKE/));
    await seconds(1.5);
    fireEvent.click(button(/^UNDO: baked/));
    await seconds(10);
    expect(calls).toEqual([]);
    expect(button(/^BAKE/)).toBeTruthy();
  });

  it("takes a double click as one", async () => {
    const { calls } = show();
    const bake = button(/^BAKE/);
    fireEvent.click(bake, { detail: 1 });
    fireEvent.click(button(/^UNDO/), { detail: 2 }); // What is under the finger now.
    await seconds(4);
    expect(calls).toHaveLength(1);
  });

  it("says that a step without an answer is kept, and tries again with the same key", async () => {
    const answers = [problem(503, "The line is starting."), Response.json({})];
    const { calls, card } = show(order, () => answers.shift() ?? Response.json({}));
    fireEvent.click(button(/^BAKE/));
    await seconds(3.1);
    expect(card.textContent).toContain("kept here until the line answers");
    expect(screen.getByText(/1 action waits to be sent/)).toBeTruthy();
    await seconds(2);
    expect(calls).toHaveLength(2);
    expect(calls[0]?.key).toMatch(/^[0-9a-f]{32}$/);
    expect(calls[1]?.key).toBe(calls[0]?.key);
    expect(screen.queryByText(/waits to be sent/)).toBeNull();
  });

  it("says what was refused until that is read, and can be used again", async () => {
    show(order, () => problem(409, "The order is past baking already: Ana did it."));
    fireEvent.click(button(/^BAKE/));
    await seconds(30);
    const alert = screen.getByRole("alert");
    expect(alert.textContent).toContain("3 Lemon, abcdef, did not go on: The order is past baking already: Ana did it.");
    fireEvent.click(within(alert).getByRole("button", { name: "OK" }));
    expect(screen.queryByRole("alert")).toBeNull();
    expect(button(/^BAKE/)).toBeTruthy();
  });

  it("says so if an order that is done does not leave, and does it once more with the same key", async () => {
    const { calls } = show();
    fireEvent.click(button(/^BAKE/));
    await seconds(3.1);
    await seconds(10);
    const alert = screen.getByRole("alert");
    expect(alert.textContent).toContain("has not left yet");
    fireEvent.click(within(alert).getByRole("button", { name: "Try again" }));
    await seconds(0.1);
    expect(calls).toHaveLength(2);
    expect(calls[1]?.key).toBe(calls[0]?.key);
  });

  it("asks for a reason before it rejects, and can have that back too", async () => {
    const { calls } = show();
    fireEvent.click(button(/^REJECT/));
    const dialog = within(screen.getByRole("dialog", { name: "Reject 3 × Lemon?" }));
    const confirm = dialog.getByRole("button", { name: "Reject order" });
    fireEvent.click(confirm);
    expect(screen.getByRole("dialog")).toBeTruthy();

    fireEvent.click(dialog.getByRole("button", { name: "Burnt" }));
    fireEvent.click(confirm);
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(button(/^UNDO: rejected/)).toBeTruthy();
    await seconds(3.1);
    expect(calls).toMatchObject([{ path: "/api/v1/order/reporterror", body: { Order: { Id: order.id }, Reason: "Burnt", ReportedBy: "Ben" } }]);
  });

  it("does nothing when kept", async () => {
    const { calls } = show();
    fireEvent.click(button(/^REJECT/));
    fireEvent.click(screen.getByRole("button", { name: "Keep it" }));
    await seconds(10);
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(calls).toHaveLength(0);
  });

  it("asks again who has only just kept it", async () => {
    show();
    fireEvent.click(button(/^REJECT/));
    fireEvent.click(screen.getByRole("button", { name: "Keep it" }));
    fireEvent.click(button(/^REJECT/));
    await seconds(1);
    expect(screen.getByRole("dialog")).toBeTruthy();
  });
});

describe("an order that somebody takes on", () => {
  it("is claimed in the worker's name, at once", async () => {
    const { calls, card } = show();
    fireEvent.click(button(/^TAKE/));
    expect(card.textContent).toContain("You are on it");
    await seconds(0.1);
    expect(calls).toMatchObject([{ method: "POST", path: "/api/v1/order/claim", body: { Order: { Id: order.id }, By: "Ben" } }]);
  });

  it("can be done or given back by who is on it", async () => {
    const { calls, card } = show({ ...order, claimedBy: "Ben" });
    expect(card.textContent).toContain("You are on it");
    expect(button(/^BAKE/)).toBeTruthy();
    fireEvent.click(button(/^GIVE BACK/));
    await seconds(0.1);
    expect(calls).toMatchObject([{ path: "/api/v1/order/release" }]);
  });

  it("is not offered to others", () => {
    const { card } = show({ ...order, claimedBy: "Ana" });
    expect(card.textContent).toContain("Ana is on it");
    expect(within(card).queryAllByRole("button")).toEqual([]);
  });

  it("stays who came first's", async () => {
    show(order, () => problem(409, "Ana is on this order."));
    fireEvent.click(button(/^TAKE/));
    await seconds(0.1);
    expect(screen.getByRole("alert").textContent).toContain("is not yours: Ana is on this order.");
  });
});
