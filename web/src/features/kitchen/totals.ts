import type { Order } from "../../api/types";

/** The waiting orders of one flavour and size. */
export interface Kind {
  flavour: string;
  size: string;
  quantity: number;
  /** Its orders, oldest first. */
  orders: Order[];
}

/** Groups orders by flavour and size. Groups are sorted by their oldest order, as in the queue. */
export function kinds(queue: Order[]): Kind[] {
  const found = new Map<string, Kind>();
  for (const order of queue) {
    const { flavour, size, quantity } = order;
    const key = JSON.stringify([flavour, size]);
    const kind = found.get(key);
    if (!kind) found.set(key, { flavour, size, quantity, orders: [order] });
    else {
      kind.quantity += quantity;
      kind.orders.push(order);
    }
  }
  return [...found.values()];
}

/** How many cupcakes of each flavour and size are waiting; cooks call this "all day". */
export interface AllDay {
  /** Sizes with waiting orders, smallest first. */
  sizes: string[];
  /** Highest quantity first; ties by name, so that rows do not jump. */
  flavours: { flavour: string; quantities: number[]; quantity: number }[];
  /** Totals by size, in the order of sizes. */
  quantities: number[];
  quantity: number;
}

/** The menu's sizes; unknown sizes sort after them. */
const menu = ["S", "M", "L", "XL"];
const rank = (size: string) => (menu.indexOf(size) + 1 || menu.length + 1);

export function allDay(queue: Order[]): AllDay {
  const all = kinds(queue);
  const sum = (some: Kind[]) => some.reduce((total, { quantity }) => total + quantity, 0);
  const sizes = [...new Set(all.map(({ size }) => size))].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const bySize = (some: Kind[]) => sizes.map((size) => sum(some.filter((kind) => kind.size === size)));
  const flavours = [...new Set(all.map(({ flavour }) => flavour))].map((flavour) => {
    const some = all.filter((kind) => kind.flavour === flavour);
    return { flavour, quantities: bySize(some), quantity: sum(some) };
  });
  flavours.sort((a, b) => b.quantity - a.quantity || (a.flavour < b.flavour ? -1 : 1));
  return { sizes, flavours, quantities: bySize(all), quantity: sum(all) };
}
