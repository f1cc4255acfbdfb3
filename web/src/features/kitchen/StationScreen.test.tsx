import { act, cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { Provider } from "react-redux";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Order, Station } from "../../api/types";
import { newStore } from "../../store";
import { problem, stubServer, type Call } from "../../testServer";
import { signedIn } from "../session/sessionSlice";
import { StationScreen } from "./StationScreen";
import { received } from "./stationSlice";

window.scrollTo = () => undefined; // Not implemented in jsdom.

vi.mock("../../hub/lazyStationFeed", () => ({ lazyFollowStation: () => () => undefined }));

// jsdom does not implement showModal and close.
HTMLDialogElement.prototype.showModal = function () {
  this.open = true;
};
HTMLDialogElement.prototype.close = function () {
  this.open = false;
  setTimeout(() => this.dispatchEvent(new Event("close"))); // Browsers fire it asynchronously, too.
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

/** Renders the station screen with one order in the queue. */
function show(shown: Order = order, respond: (call: Call) => Response | Promise<Response> = answer) {
  const calls = stubServer(respond);
  const store = newStore();
  store.dispatch(received([{ type: "arrived", order: shown }, { type: "synced", resumed: false }]));
  store.dispatch(signedIn({ name: "Ben", role: "baker" }));
  render(
    <Provider store={store}>
      <StationScreen station={station} />
    </Provider>,
  );
  // The snapshot that the feed sends after the screen has subscribed.
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
  it("shows quantity, flavour, size and ID", () => {
    const { card } = show();
    for (const text of ["3 ×", "Lemon", "Large", "abcdef"]) expect(card.textContent).toContain(text);
  });

  it("holds the step for three seconds, sends it in the worker's name, and stays disabled until the order leaves", async () => {
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

  it("can be undone within three seconds", async () => {
    const { calls } = show();
    fireEvent.click(button(/^BAKE/));
    await seconds(1.5);
    fireEvent.click(button(/^UNDO: baked/));
    await seconds(10);
    expect(calls).toEqual([]);
    expect(button(/^BAKE/)).toBeTruthy();
  });

  it("treats a double click as one click", async () => {
    const { calls } = show();
    const bake = button(/^BAKE/);
    fireEvent.click(bake, { detail: 1 });
    fireEvent.click(button(/^UNDO/), { detail: 2 }); // The button now under the pointer.
    await seconds(4);
    expect(calls).toHaveLength(1);
  });

  it("shows that an unanswered step is saved, and retries it with the same key", async () => {
    const answers = [problem(503, "The line is starting."), Response.json({})];
    const { calls, card } = show(order, () => answers.shift() ?? Response.json({}));
    fireEvent.click(button(/^BAKE/));
    await seconds(3.1);
    expect(card.textContent).toContain("saved here until the server answers");
    expect(screen.getByText(/1 action is waiting to be sent/)).toBeTruthy();
    await seconds(2);
    expect(calls).toHaveLength(2);
    expect(calls[0]?.key).toMatch(/^[0-9a-f]{32}$/);
    expect(calls[1]?.key).toBe(calls[0]?.key);
    expect(screen.queryByText(/waiting to be sent/)).toBeNull();
  });

  it("shows a refusal until it is dismissed, and stays usable", async () => {
    show(order, () => problem(409, "The order is past baking already: Ana did it."));
    fireEvent.click(button(/^BAKE/));
    await seconds(30);
    const alert = screen.getByRole("alert");
    expect(alert.textContent).toContain("3 Lemon, abcdef, could not be completed: The order is past baking already: Ana did it.");
    fireEvent.click(within(alert).getByRole("button", { name: "OK" }));
    expect(screen.queryByRole("alert")).toBeNull();
    expect(button(/^BAKE/)).toBeTruthy();
  });

  it("warns if an order does not leave after its step, and retries with the same key", async () => {
    const { calls } = show();
    fireEvent.click(button(/^BAKE/));
    await seconds(3.1);
    await seconds(10);
    const alert = screen.getByRole("alert");
    expect(alert.textContent).toContain("the order is still here");
    fireEvent.click(within(alert).getByRole("button", { name: "Try again" }));
    await seconds(0.1);
    expect(calls).toHaveLength(2);
    expect(calls[1]?.key).toBe(calls[0]?.key);
  });

  it("asks for a reason before a rejection, which can be undone", async () => {
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

  it("does nothing when the dialog is cancelled", async () => {
    const { calls } = show();
    fireEvent.click(button(/^REJECT/));
    fireEvent.click(screen.getByRole("button", { name: "Keep it" }));
    await seconds(10);
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(calls).toHaveLength(0);
  });

  it("opens the dialog again right after it was cancelled", async () => {
    show();
    fireEvent.click(button(/^REJECT/));
    fireEvent.click(screen.getByRole("button", { name: "Keep it" }));
    fireEvent.click(button(/^REJECT/));
    await seconds(1);
    expect(screen.getByRole("dialog")).toBeTruthy();
  });
});

describe("a claim", () => {
  it("is sent at once in the worker's name", async () => {
    const { calls, card } = show();
    fireEvent.click(button(/^TAKE/));
    expect(card.textContent).toContain("You are on it");
    await seconds(0.1);
    expect(calls).toMatchObject([{ method: "POST", path: "/api/v1/order/claim", body: { Order: { Id: order.id }, By: "Ben" } }]);
  });

  it("lets the claimant finish or release the order", async () => {
    const { calls, card } = show({ ...order, claimedBy: "Ben" });
    expect(card.textContent).toContain("You are on it");
    expect(button(/^BAKE/)).toBeTruthy();
    fireEvent.click(button(/^GIVE BACK/));
    await seconds(0.1);
    expect(calls).toMatchObject([{ path: "/api/v1/order/release" }]);
  });

  it("hides the buttons from others", () => {
    const { card } = show({ ...order, claimedBy: "Ana" });
    expect(card.textContent).toContain("Ana is on it");
    expect(within(card).queryAllByRole("button")).toEqual([]);
  });

  it("is refused if somebody else came first", async () => {
    show(order, () => problem(409, "claimed by Ana"));
    fireEvent.click(button(/^TAKE/));
    await seconds(0.1);
    expect(screen.getByRole("alert").textContent).toContain("could not be taken: claimed by Ana");
  });
});
