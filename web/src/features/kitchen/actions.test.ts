import { describe, expect, it } from "vitest";
import * as a from "./actions";

const mixing: a.Operation = { kind: "advance", verb: "mix", done: "mixed" };

function action(key: string, more: Partial<a.Action> = {}, id = key): a.Action {
  return {
    key,
    batch: key,
    order: { id, flavour: "Lemon", size: "M", quantity: 2 },
    stage: "mixing",
    by: "Ana",
    work: mixing,
    made: 1000,
    due: 1000 + a.undoWindow,
    state: "held",
    ...more,
  };
}
const outbox = (...actions: a.Action[]): a.Outbox => ({ ...a.emptyOutbox, actions });
const add = (before: a.Outbox, ...actions: a.Action[]) => a.add(before, actions) ?? a.emptyOutbox;
const keys = (actions: a.Action[]) => actions.map(({ key }) => key);

describe("add", () => {
  it("appends actions in order", () => {
    expect(keys(add(add(a.emptyOutbox, action("1")), action("2"), action("3")).actions)).toEqual(["1", "2", "3"]);
  });

  it("skips an order that has a pending step", () => {
    const once = outbox(action("1", {}, "order"));
    expect(keys(add(once, action("2", { work: { kind: "reject", reason: "Burnt" } }, "order"), action("3")).actions)).toEqual(["1", "3"]);
  });

  it("returns undefined when a batch does not fit, and adds nothing of it", () => {
    const full = outbox(...Array.from({ length: a.actionsAtMost - 1 }, (_, i) => action(`${i}`)));
    expect(a.add(full, [action("x"), action("y")])).toBeUndefined();
    expect(add(full, action("x")).actions).toHaveLength(a.actionsAtMost);
  });
});

describe("undo", () => {
  it("removes the whole batch and nothing else", () => {
    const before = outbox(action("1"), action("2", { batch: "b" }), action("3", { batch: "b" }));
    expect(keys(a.undo(before, "b").actions)).toEqual(["1"]);
  });

  it.each<a.ActionState>(["sending", "waiting"])("keeps an action that is %s, as the server may have applied it", (state) => {
    expect(keys(a.undo(outbox(action("1", { state })), "1").actions)).toEqual(["1"]);
  });

  it("applies to the latest held step of the stage, not to claims", () => {
    const before = outbox(action("1"), action("2", { stage: "baking" }), action("3", { work: { kind: "claim" } }), action("4", { state: "waiting" }));
    expect(a.lastUndoable(before, "mixing")).toBe("1");
    expect(a.lastUndoable(before, "baking")).toBe("2");
    expect(a.lastUndoable(before, "shipping")).toBeUndefined();
  });
});

describe("sendable", () => {
  it("returns actions once they are due", () => {
    const before = outbox(action("1"));
    expect(a.sendable(before, 3999)).toEqual([]);
    expect(keys(a.sendable(before, 4000))).toEqual(["1"]);
    expect(a.nextDue(before, 1000)).toBe(4000);
    expect(a.nextDue(before, 4000)).toBeUndefined();
  });

  it("returns only the oldest action of each order", () => {
    const before = outbox(action("1", { work: { kind: "claim" }, due: 0 }, "o"), action("2", { due: 0 }, "o"), action("3", { due: 0 }));
    expect(keys(a.sendable(before, 10))).toEqual(["1", "3"]);
    expect(keys(a.sendable(a.mark(before, "1", "sending"), 10))).toEqual(["3"]);
    expect(keys(a.sendable(a.accepted(before, "1", 10), 10))).toEqual(["2", "3"]);
  });

  it("returns all actions after makeDue", () => {
    expect(keys(a.sendable(a.makeDue(outbox(action("1"), action("2")), 1500), 1500))).toEqual(["1", "2"]);
  });
});

describe("the outcome of an action", () => {
  it("moves an accepted action to the done list", () => {
    const after = a.accepted(outbox(action("1")), "1", 5000);
    expect(after.actions).toEqual([]);
    expect(after.done).toMatchObject([{ key: "1", by: "Ana", at: 5000, order: { quantity: 2 } }]);
  });

  it("drops an accepted claim, which is not recalled", () => {
    expect(a.accepted(outbox(action("1", { work: { kind: "claim" } })), "1", 5000)).toEqual(a.emptyOutbox);
  });

  it("keeps at most doneAtMost accepted actions per stage", () => {
    let state = a.accepted(outbox(action("other", { stage: "baking" })), "other", 1);
    for (let i = 0; i < a.doneAtMost + 5; i++) state = a.accepted({ ...state, actions: [action(`${i}`)] }, `${i}`, i);
    expect(state.done).toHaveLength(1 + a.doneAtMost);
    expect(state.done.slice(0, 2).map(({ key }) => key)).toEqual(["other", "5"]);
  });

  it("keeps a final refusal until it is dismissed", () => {
    const after = a.refused(outbox(action("1")), "1", "claimed by Ana", false);
    expect(after.actions).toEqual([]);
    expect(after.refusals).toMatchObject([{ why: "claimed by Ana", action: { key: "1" } }]);
    expect(a.retry(after, "1")).toBe(after);
    expect(a.dismiss(after, "1").refusals).toEqual([]);
  });

  it("allows a retry with the same key if it may succeed", () => {
    const after = a.retry(a.refused(outbox(action("1")), "1", "Oops.", true), "1");
    expect(after.refusals).toEqual([]);
    expect(after.actions).toMatchObject([{ key: "1", state: "waiting" }]);
  });

  it("keeps at most refusalsAtMost refusals", () => {
    let state = a.emptyOutbox;
    for (let i = 0; i < 30; i++) state = a.refused({ ...state, actions: [action(`${i}`)] }, `${i}`, "No.", false);
    expect(state.refusals).toHaveLength(a.refusalsAtMost);
    expect(state.refusals.at(-1)?.action.key).toBe("29");
  });

  it("drops an action that another page got an answer for, unless it is being sent", () => {
    expect(a.forget(outbox(action("1")), "1").actions).toEqual([]);
    expect(a.forget(outbox(action("1", { state: "sending" })), "1").actions).toHaveLength(1);
  });
});

describe("the claimant of an order", () => {
  const order = { id: "o", flavour: "Lemon", size: "M", quantity: 2, status: "placed", state: "waiting" as const, placedOn: "", history: [] };
  const claim = action("1", { work: { kind: "claim" } }, "o");
  const release = action("2", { work: { kind: "release" } }, "o");

  it.each([
    [undefined, undefined, undefined],
    ["Bob", undefined, "Bob"],
    [undefined, claim, "Ana"],
    ["Bob", claim, "Bob"],
    ["Ana", release, undefined],
    ["Bob", release, "Bob"],
  ])("claimed by %s, with pending %j, is %s", (claimedBy, pending, who) => {
    expect(a.claimant(claimedBy ? { ...order, claimedBy } : order, pending)).toBe(who);
  });

  it("is nobody after a release before the claim was sent", () => {
    expect(add(outbox(claim), release).actions).toEqual([]);
  });
});
