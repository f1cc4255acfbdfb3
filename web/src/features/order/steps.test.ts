import { describe, expect, it } from "vitest";
import type { Order, Visit } from "../../api/types";
import { stepsOf } from "./steps";

const line = [
  { stage: "mixing", done: "mixed" },
  { stage: "baking", done: "baked" },
  { stage: "tasting", done: "tasted" },
];
const visit = (stage: string): Visit => ({ stage, by: "Ana", arrivedOn: "2030-01-01T08:00:00Z", on: "2030-01-01T08:01:00Z", seconds: 60 });
const order: Order = {
  id: "a",
  flavour: "Lemon",
  size: "M",
  quantity: 1,
  status: "placed",
  state: "waiting",
  placedOn: "2030-01-01T08:00:00Z",
  history: [],
};
const states = (part: Partial<Order>) => stepsOf({ ...order, ...part }, line).map(({ state }) => state);

describe("the steps of an order", () => {
  it("start at the first stage", () => {
    expect(states({ stage: "mixing" })).toEqual(["here", "ahead", "ahead"]);
  });

  it("follow the history", () => {
    expect(states({ stage: "baking", history: [visit("mixing")] })).toEqual(["done", "here", "ahead"]);
  });

  it("are at the next stage while the order moves there", () => {
    expect(states({ state: "moving", history: [visit("mixing")] })).toEqual(["done", "here", "ahead"]);
  });

  it("are all done at the end", () => {
    expect(states({ state: "done", status: "tasted", history: line.map(({ stage }) => visit(stage)) })).toEqual(["done", "done", "done"]);
  });

  it("end where the order was rejected", () => {
    expect(states({ state: "rejected", status: "rejected", history: [visit("mixing"), visit("baking")] })).toEqual(["done", "rejected", "ahead"]);
  });

  it("say since when the order waits", () => {
    expect(stepsOf({ ...order, stage: "mixing", arrivedOn: "2030-01-01T08:00:01Z" }, line)[0]?.since).toBe("2030-01-01T08:00:01Z");
  });
});
