import { expect, it } from "vitest";
import type { Order } from "../../api/types";
import { allDay, kinds } from "./totals";

const order = (flavour: string, size: string, quantity: number): Order => ({
  id: `${flavour}${size}${quantity}`,
  flavour,
  size,
  quantity,
  status: "placed",
  stage: "mixing",
  state: "waiting",
  placedOn: "2030-01-01T08:00:00Z",
  history: [],
});
const queue = [order("Lemon", "M", 2), order("Coffee", "XL", 3), order("Lemon", "S", 4), order("Lemon", "M", 7), order("Mint", "XL", 3)];

it("kinds groups orders by flavour and size, oldest first", () => {
  expect(kinds(queue).map(({ orders, ...kind }) => ({ ...kind, ids: orders.map(({ id }) => id) }))).toEqual([
    { flavour: "Lemon", size: "M", quantity: 9, ids: ["LemonM2", "LemonM7"] },
    { flavour: "Coffee", size: "XL", quantity: 3, ids: ["CoffeeXL3"] },
    { flavour: "Lemon", size: "S", quantity: 4, ids: ["LemonS4"] },
    { flavour: "Mint", size: "XL", quantity: 3, ids: ["MintXL3"] },
  ]);
});

it("allDay adds up by flavour and size, highest total first", () => {
  expect(allDay(queue)).toEqual({
    sizes: ["S", "M", "XL"],
    flavours: [
      { flavour: "Lemon", quantities: [4, 9, 0], quantity: 13 },
      { flavour: "Coffee", quantities: [0, 0, 3], quantity: 3 },
      { flavour: "Mint", quantities: [0, 0, 3], quantity: 3 },
    ],
    quantities: [4, 9, 6],
    quantity: 19,
  });
});

it("allDay sorts unknown sizes last", () => {
  expect(allDay([order("Lemon", "XXL", 1), ...queue]).sizes).toEqual(["S", "M", "XL", "XXL"]);
});

it("allDay of an empty queue is empty", () => {
  expect(allDay([])).toEqual({ sizes: [], flavours: [], quantities: [], quantity: 0 });
});
