import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { Provider } from "react-redux";
import { describe, expect, it } from "vitest";
import type { Order, Station } from "../../api/types";
import { newStore } from "../../store";
import { problem, stubServer, type Call } from "../../testServer";
import { OrderCard } from "./OrderCard";

// jsdom knows <dialog> but not yet how to open one.
HTMLDialogElement.prototype.showModal = function () {
  this.open = true;
};
HTMLDialogElement.prototype.close = function () {
  this.open = false;
  this.dispatchEvent(new Event("close"));
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

function show(answer: (call: Call) => Response | Promise<Response>, stale = false) {
  const shown = showClaimed(undefined, answer, stale);
  return { ...shown, bake: screen.getByRole("button", { name: /^BAKE/ }), refuse: screen.getByRole("button", { name: /^REJECT/ }) };
}

function showClaimed(claimedBy: string | undefined, answer: (call: Call) => Response | Promise<Response> = accepted, stale = false) {
  const calls = stubServer(answer);
  render(
    <Provider store={newStore()}>
      <OrderCard order={claimedBy ? { ...order, claimedBy } : order} station={station} by="Ben" stale={stale} />
    </Provider>,
  );
  return { calls, user: userEvent.setup() };
}

const accepted = () => Response.json({ ...order, status: "baked" });
const resting = (element: HTMLElement) => element.getAttribute("aria-disabled") === "true";

describe("an order's card", () => {
  it("shows what is to be done", () => {
    show(accepted);
    const card = screen.getByRole("listitem");
    for (const text of ["3 ×", "Lemon", "Large", "abcdef"]) expect(card.textContent).toContain(text);
  });

  it("does the step in the worker's name and rests until the hub takes it away", async () => {
    const { calls, user, bake, refuse } = show(accepted);
    await user.click(bake);
    await waitFor(() => { expect(calls).toHaveLength(1); });
    expect(calls[0]).toMatchObject({ method: "POST", path: "/api/v1/order/bake", body: { Order: { Id: order.id, BakedBy: "Ben" } } });
    expect(resting(bake) && resting(refuse)).toBe(true);
    await user.click(bake);
    expect(calls).toHaveLength(1);
  });

  it("takes a double click as one", async () => {
    const { calls, user, bake } = show(accepted);
    await user.dblClick(bake);
    expect(calls).toHaveLength(1);
  });

  it("tells a failure, and tries again with the same key", async () => {
    const answers = [problem(503, "The line is starting. Try again in 2 seconds."), accepted()];
    const { calls, user, bake } = show(() => answers.shift() ?? accepted());
    await user.click(bake);
    const alert = await screen.findByRole("alert");
    expect(alert.textContent).toContain("The line is starting");
    expect(resting(bake)).toBe(false);

    await user.click(within(alert).getByRole("button", { name: "Try again" }));
    await waitFor(() => { expect(resting(bake)).toBe(true); });
    expect(calls).toHaveLength(2);
    expect(calls[0]?.key).toMatch(/^[0-9a-f]{32}$/);
    expect(calls[1]?.key).toBe(calls[0]?.key);
  });

  it("says it when the server is away", async () => {
    const { user, bake } = show(() => { throw new TypeError("fetch failed"); });
    await user.click(bake);
    expect((await screen.findByRole("alert")).textContent).toContain("cannot be reached");
  });

  it("asks for a reason before it rejects", async () => {
    const { calls, user, refuse } = show(accepted);
    await user.click(refuse);
    const dialog = within(screen.getByRole("dialog", { name: "Reject 3 × Lemon?" }));
    const confirm = dialog.getByRole("button", { name: "Reject order" });
    await user.click(confirm);
    expect(calls).toHaveLength(0);

    await user.click(dialog.getByRole("button", { name: "Burnt" }));
    await user.click(confirm);
    await waitFor(() => { expect(calls).toHaveLength(1); });
    expect(calls[0]).toMatchObject({
      path: "/api/v1/order/reporterror",
      body: { Order: { Id: order.id }, Reason: "Burnt", ReportedBy: "Ben" },
    });
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(resting(refuse)).toBe(true);
  });

  it("takes another reason as another intent, with another key", async () => {
    const { calls, user, refuse } = show(() => problem(503, "Away."));
    for (const reason of ["Burnt", "Did not rise"]) {
      await user.click(refuse);
      const dialog = within(screen.getByRole("dialog"));
      await user.click(dialog.getByRole("button", { name: reason }));
      await user.click(dialog.getByRole("button", { name: "Reject order" }));
      await screen.findByRole("alert");
    }
    expect(calls).toHaveLength(2);
    expect(calls[0]?.key).not.toBe(calls[1]?.key);
  });

  it("does nothing when kept", async () => {
    const { calls, user, refuse } = show(accepted);
    await user.click(refuse);
    await user.click(screen.getByRole("button", { name: "Keep it" }));
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(calls).toHaveLength(0);
  });

  it("rests while the list may be out of date", async () => {
    const { calls, user, bake } = show(accepted, true);
    await user.click(bake);
    expect(resting(bake)).toBe(true);
    expect(calls).toHaveLength(0);
  });
});

describe("an order that somebody takes on", () => {
  it("is claimed in the worker's name", async () => {
    const { calls, user } = showClaimed(undefined);
    await user.click(screen.getByRole("button", { name: /^TAKE/ }));
    await waitFor(() => { expect(calls).toHaveLength(1); });
    expect(calls[0]).toMatchObject({ method: "POST", path: "/api/v1/order/claim", body: { Order: { Id: order.id }, By: "Ben" } });
  });

  it("can be done or given back by who is on it", async () => {
    const { calls, user } = showClaimed("Ben");
    expect(screen.getByRole("listitem").textContent).toContain("You are on it");
    expect(screen.getByRole("button", { name: /^BAKE/ })).toBeTruthy();
    await user.click(screen.getByRole("button", { name: /^GIVE BACK/ }));
    await waitFor(() => { expect(calls).toHaveLength(1); });
    expect(calls[0]).toMatchObject({ path: "/api/v1/order/release" });
  });

  it("is not offered to others", () => {
    showClaimed("Ana");
    expect(screen.getByRole("listitem").textContent).toContain("Ana is on it");
    expect(screen.queryAllByRole("button")).toEqual([]);
  });

  it("stays who came first's", async () => {
    const { user } = showClaimed(undefined, () => problem(409, "Ana is on this order."));
    await user.click(screen.getByRole("button", { name: /^TAKE/ }));
    expect((await screen.findByRole("alert")).textContent).toContain("Ana is on this order");
  });
});
