import { describe, expect, it } from "vitest";
import * as a from "./actions";

const mixing: a.Work = { kind: "advance", verb: "mix", done: "mixed" };

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
const outbox = (...actions: a.Action[]): a.Outbox => ({ ...a.nothing, actions });
const add = (before: a.Outbox, ...actions: a.Action[]) => a.add(before, actions) ?? a.nothing;
const keys = (actions: a.Action[]) => actions.map(({ key }) => key);

describe("what a worker did", () => {
  it("is kept in the order in which it was done", () => {
    expect(keys(add(add(a.nothing, action("1")), action("2"), action("3")).actions)).toEqual(["1", "2", "3"]);
  });

  it("is done once, however often it is pressed", () => {
    const once = outbox(action("1", {}, "order"));
    expect(keys(add(once, action("2", { work: { kind: "reject", reason: "Burnt" } }, "order"), action("3")).actions)).toEqual(["1", "3"]);
  });

  it("is not kept without bound; nothing is half done", () => {
    const full = outbox(...Array.from({ length: a.actionsAtMost - 1 }, (_, i) => action(`${i}`)));
    expect(a.add(full, [action("x"), action("y")])).toBeUndefined();
    expect(add(full, action("x")).actions).toHaveLength(a.actionsAtMost);
  });
});

describe("undo", () => {
  it("takes back all that one press did, and nothing else", () => {
    const before = outbox(action("1"), action("2", { batch: "b" }), action("3", { batch: "b" }));
    expect(keys(a.undo(before, "b").actions)).toEqual(["1"]);
  });

  it.each<a.ActionState>(["sending", "waiting"])("leaves what is %s, for the line may have it", (state) => {
    expect(keys(a.undo(outbox(action("1", { state })), "1").actions)).toEqual(["1"]);
  });

  it("is for the last press at this stage that finished something", () => {
    const before = outbox(action("1"), action("2", { stage: "baking" }), action("3", { work: { kind: "claim" } }), action("4", { state: "waiting" }));
    expect(a.lastHeld(before, "mixing")).toBe("1");
    expect(a.lastHeld(before, "baking")).toBe("2");
    expect(a.lastHeld(before, "shipping")).toBeUndefined();
  });
});

describe("sending", () => {
  it("waits until an action is due", () => {
    const before = outbox(action("1"));
    expect(a.sendable(before, 3999)).toEqual([]);
    expect(keys(a.sendable(before, 4000))).toEqual(["1"]);
    expect(a.nextDue(before, 1000)).toBe(4000);
    expect(a.nextDue(before, 4000)).toBeUndefined();
  });

  it("sends what is done with one order one after the other", () => {
    const before = outbox(action("1", { work: { kind: "claim" }, due: 0 }, "o"), action("2", { due: 0 }, "o"), action("3", { due: 0 }));
    expect(keys(a.sendable(before, 10))).toEqual(["1", "3"]);
    expect(keys(a.sendable(a.mark(before, "1", "sending"), 10))).toEqual(["3"]);
    expect(keys(a.sendable(a.taken(before, "1", 10), 10))).toEqual(["2", "3"]);
  });

  it("holds nothing back when the page goes", () => {
    expect(keys(a.sendable(a.hurry(outbox(action("1"), action("2")), 1500), 1500))).toEqual(["1", "2"]);
  });
});

describe("an answer", () => {
  it("makes an action one that was done", () => {
    const after = a.taken(outbox(action("1")), "1", 5000);
    expect(after.actions).toEqual([]);
    expect(after.done).toMatchObject([{ key: "1", by: "Ana", at: 5000, order: { quantity: 2 } }]);
  });

  it("to a claim is nothing to recall", () => {
    expect(a.taken(outbox(action("1", { work: { kind: "claim" } })), "1", 5000)).toEqual(a.nothing);
  });

  it("is kept for the last of each stage, and not without bound", () => {
    let state = a.taken(outbox(action("other", { stage: "baking" })), "other", 1);
    for (let i = 0; i < a.doneAtMost + 5; i++) state = a.taken({ ...state, actions: [action(`${i}`)] }, `${i}`, i);
    expect(state.done).toHaveLength(1 + a.doneAtMost);
    expect(state.done.slice(0, 2).map(({ key }) => key)).toEqual(["other", "5"]);
  });

  it("that refuses stays until it is dismissed", () => {
    const after = a.refused(outbox(action("1")), "1", "Ana is on this order.", false);
    expect(after.actions).toEqual([]);
    expect(after.refusals).toMatchObject([{ why: "Ana is on this order.", action: { key: "1" } }]);
    expect(a.retry(after, "1")).toBe(after);
    expect(a.dismiss(after, "1").refusals).toEqual([]);
  });

  it("that may differ another time can be asked for again, with the same key", () => {
    const after = a.retry(a.refused(outbox(action("1")), "1", "Oops.", true), "1");
    expect(after.refusals).toEqual([]);
    expect(after.actions).toMatchObject([{ key: "1", state: "waiting" }]);
  });

  it("keeps only the last refusals", () => {
    let state = a.nothing;
    for (let i = 0; i < 30; i++) state = a.refused({ ...state, actions: [action(`${i}`)] }, `${i}`, "No.", false);
    expect(state.refusals).toHaveLength(a.refusalsAtMost);
    expect(state.refusals.at(-1)?.action.key).toBe("29");
  });

  it("that another page had ends it here, unless it is being sent", () => {
    expect(a.forget(outbox(action("1")), "1").actions).toEqual([]);
    expect(a.forget(outbox(action("1", { state: "sending" })), "1").actions).toHaveLength(1);
  });
});

describe("who is on an order", () => {
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
  ])("claimed by %s", (claimedBy, pending, who) => {
    expect(a.holder(claimedBy ? { ...order, claimedBy } : order, pending)).toBe(who);
  });

  it("is nobody when it is given back before it was told", () => {
    expect(add(outbox(claim), release).actions).toEqual([]);
  });
});
