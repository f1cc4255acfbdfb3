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

describe("stepsOf", () => {
  it("starts at the first stage", () => {
    expect(states({ stage: "mixing" })).toEqual(["here", "ahead", "ahead"]);
  });

  it("follows the history", () => {
    expect(states({ stage: "baking", history: [visit("mixing")] })).toEqual(["done", "here", "ahead"]);
  });

  it("is at the next stage while the order is moving", () => {
    expect(states({ state: "moving", history: [visit("mixing")] })).toEqual(["done", "here", "ahead"]);
  });

  it("is done at every stage in the end", () => {
    expect(states({ state: "done", status: "tasted", history: line.map(({ stage }) => visit(stage)) })).toEqual(["done", "done", "done"]);
  });

  it("ends at the stage of the rejection", () => {
    expect(states({ state: "rejected", status: "rejected", history: [visit("mixing"), visit("baking")] })).toEqual(["done", "rejected", "ahead"]);
  });

  it("returns the arrival time at the current stage", () => {
    expect(stepsOf({ ...order, stage: "mixing", arrivedOn: "2030-01-01T08:00:01Z" }, line)[0]?.since).toBe("2030-01-01T08:00:01Z");
  });
});
