import type { Order } from "../../api/types";
import { ageLevel, type Patience } from "../../ui/age";

/** What was noticed of the queue so far. */
export interface Noticed {
  /** When each order was seen first, in milliseconds; 0 for what was there when the page came. */
  seen: ReadonlyMap<string, number>;
  late: ReadonlySet<string>;
}

/** What is worth a sound. */
export interface Alerts {
  fresh: boolean;
  late: boolean;
}

/** How long an order counts as new, in milliseconds. */
export const newFor = 20_000;

/**
 * Compares the queue with what was noticed of it before; with nothing, all of it was there already. An order is new once
 * and late once, even if it is away in between, as long as it was not forgotten: what is not in the queue is.
 */
export function notice(before: Noticed | undefined, queue: Order[], now: number, patience: Patience): Noticed & { alerts: Alerts } {
  const seen = new Map(queue.map(({ id }) => [id, before?.seen.get(id) ?? (before ? now : 0)]));
  const isLate = ({ arrivedOn, placedOn }: Order) => ageLevel(now - Date.parse(arrivedOn ?? placedOn), patience) === "late";
  const late = new Set(queue.filter(isLate).map(({ id }) => id));
  const fresh = before !== undefined && queue.some(({ id }) => !before.seen.has(id));
  const nowLate = before !== undefined && [...late].some((id) => !before.late.has(id));
  return { seen, late, alerts: { fresh, late: nowLate } };
}
