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

describe("a stage without translations", () => {
  it("is described in the server's words", () => {
    expect(whereItIs(order, [tasting])).toBe("Waiting to be tasted");
    expect(whereItIs(order, [])).toBe("At tasting");
  });

  it("has default reasons for a rejection", () => {
    expect(reasonsAt("tasting")).not.toEqual([]);
  });
});

describe("where an order is", () => {
  it.each<[Partial<Order>, string]>([
    [{ stage: "mixing" }, "Next in line for the mixing bowl"],
    [{ state: "moving" }, "On its way to the next station"],
    [{ stage: undefined, state: "done" }, "Shipped, and on its way to you"],
    [{ stage: undefined, state: "rejected" }, "Sorry, we could not make this order"],
  ])("%j reads %s", (part, text) => {
    expect(whereItIs({ ...order, ...part }, [tasting])).toBe(text);
  });
});

it("sizeTitle returns an unknown size unchanged", () => {
  expect([sizeTitle("XL"), sizeTitle("XXL")]).toEqual(["Extra large", "XXL"]);
});
