import type { Order, Station } from "./api/types";

/**
 * The words that people read, for the words that the server uses. Everything falls back to the server's own word, so a
 * stage, size or status that is not in here shows up plainly but correctly.
 */
interface StageWords {
  /** What the customer is told while the order waits there. */
  waiting: string;
  /** What a worker there most often rejects an order for. */
  reasons: string[];
}

const stageWords: Partial<Record<string, StageWords>> = {
  mixing: { waiting: "Next in line for the mixing bowl", reasons: ["Out of ingredients", "Batter split", "Too many to mix"] },
  baking: { waiting: "Mixed, and waiting for the oven", reasons: ["Burnt", "Did not rise", "Oven broken"] },
  decorating: { waiting: "Baked, and waiting for its frosting", reasons: ["Frosting melted", "Out of toppings", "Dropped"] },
  packaging: { waiting: "Decorated, and waiting for its box", reasons: ["Squashed", "Out of boxes", "Dropped"] },
  shipping: { waiting: "Boxed, and waiting for the courier", reasons: ["Box damaged", "No courier", "Address unknown"] },
};

const anyReasons = ["Out of supplies", "Dropped", "Machine broken"];

const sizes: Partial<Record<string, string>> = { S: "Small", M: "Medium", L: "Large", XL: "Extra large" };

export function title(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

export function sizeTitle(size: string): string {
  return sizes[size] ?? size;
}

export function reasonsAt(stage: string): string[] {
  return stageWords[stage]?.reasons ?? anyReasons;
}

/** One line for the customer on where the order is. */
export function whereItIs(order: Order, stations: Station[]): string {
  if (order.state === "rejected") return "Sorry, we could not make this order";
  if (order.state === "done") return "Shipped, and on its way to you";
  if (order.state === "moving" || !order.stage) return "On its way along the line";
  const done = stations.find((station) => station.stage === order.stage)?.done;
  return stageWords[order.stage]?.waiting ?? (done ? `Waiting to be ${done}` : `At ${order.stage}`);
}

/** The end of an order's id tells orders apart at a glance; ids start with the time and so look alike at the front. */
export function shortId(id: string): string {
  return id.slice(-6);
}
