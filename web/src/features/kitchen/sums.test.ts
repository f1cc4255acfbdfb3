import { expect, it } from "vitest";
import type { Order } from "../../api/types";
import { totals } from "./sums";

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

it("adds up what is of the same flavour and size, most first", () => {
  const queue = [order("Lemon", "M", 2), order("Coffee", "M", 3), order("Lemon", "L", 4), order("Lemon", "M", 7), order("Coffee", "L", 3)];
  expect(totals(queue)).toEqual([
    { flavour: "Lemon", size: "M", quantity: 9 },
    { flavour: "Lemon", size: "L", quantity: 4 },
    { flavour: "Coffee", size: "L", quantity: 3 },
    { flavour: "Coffee", size: "M", quantity: 3 },
  ]);
});

it("of nothing is nothing", () => {
  expect(totals([])).toEqual([]);
});
