import type { Order } from "../../api/types";
import { ageLevel, type AgeLimits } from "../../ui/age";

/** The queue as of the last check. */
export interface SeenQueue {
  /** When each order was first seen, in milliseconds; 0 for orders that were present when the page opened. */
  seen: ReadonlyMap<string, number>;
  late: ReadonlySet<string>;
}

/** Sounds to play. */
export interface Alerts {
  fresh: boolean;
  late: boolean;
}

/** How long an order counts as new, in milliseconds. */
export const newFor = 20_000;

/**
 * Compares the queue with the previous check. Without one, no order counts as new. An order raises each alert once for as
 * long as it stays in the queue; an order that leaves is forgotten.
 */
export function detectAlerts(before: SeenQueue | undefined, queue: Order[], now: number, ageLimits: AgeLimits): SeenQueue & { alerts: Alerts } {
  const seen = new Map(queue.map(({ id }) => [id, before?.seen.get(id) ?? (before ? now : 0)]));
  const isLate = ({ arrivedOn, placedOn }: Order) => ageLevel(now - Date.parse(arrivedOn ?? placedOn), ageLimits) === "late";
  const late = new Set(queue.filter(isLate).map(({ id }) => id));
  const fresh = before !== undefined && queue.some(({ id }) => !before.seen.has(id));
  const nowLate = before !== undefined && [...late].some((id) => !before.late.has(id));
  return { seen, late, alerts: { fresh, late: nowLate } };
}
