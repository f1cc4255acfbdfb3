import type { Order } from "../../api/types";

/** How many cupcakes of one kind wait. */
export interface Total {
  flavour: string;
  size: string;
  quantity: number;
}

/** Adds up what waits by flavour and size, most first; of as many, by name, so that the list does not jump. */
export function totals(queue: Order[]): Total[] {
  const kinds = new Map<string, Total>();
  for (const { flavour, size, quantity } of queue) {
    const key = JSON.stringify([flavour, size]);
    kinds.set(key, { flavour, size, quantity: (kinds.get(key)?.quantity ?? 0) + quantity });
  }
  return [...kinds].sort(([a, one], [b, other]) => other.quantity - one.quantity || (a < b ? -1 : 1)).map(([, total]) => total);
}
