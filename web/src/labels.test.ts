import { describe, expect, it } from "vitest";
import type { Order, Station } from "./api/types";
import { reasonsAt, sizeTitle, whereItIs } from "./labels";

const order: Order = {
  id: "a",
  flavour: "Lemon",
  size: "M",
  quantity: 1,
  status: "packaged",
  stage: "tasting",
  state: "waiting",
  placedOn: "2030-01-01T08:00:00Z",
  history: [],
};
const tasting: Station = {
  stage: "tasting",
  role: "taster",
  verb: "taste",
  action: "TASTE",
  done: "tasted",
  page: "taster",
  topic: "readytotaste",
  event: "InformNewOrderToTaste",
  waiting: 1,
  warnSeconds: 300,
  lateSeconds: 480,
  behindSeconds: 0,
};

describe("a stage that has no words of its own", () => {
  it("is told in the server's words", () => {
    expect(whereItIs(order, [tasting])).toBe("Waiting to be tasted");
    expect(whereItIs(order, [])).toBe("At tasting");
  });

  it("has usual reasons to reject", () => {
    expect(reasonsAt("tasting")).not.toEqual([]);
  });
});

describe("where an order is", () => {
  it.each<[Partial<Order>, string]>([
    [{ stage: "mixing" }, "Next in line for the mixing bowl"],
    [{ state: "moving" }, "On its way along the line"],
    [{ stage: undefined, state: "done" }, "Shipped, and on its way to you"],
    [{ stage: undefined, state: "rejected" }, "Sorry, we could not make this order"],
  ])("%j reads %s", (part, text) => {
    expect(whereItIs({ ...order, ...part }, [tasting])).toBe(text);
  });
});

it("an unknown size is shown as it is", () => {
  expect([sizeTitle("XL"), sizeTitle("XXL")]).toEqual(["Extra large", "XXL"]);
});
