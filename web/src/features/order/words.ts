import type { Estimate } from "../../api/types";
import { formatTime } from "../../ui/age";

/** What the customer is told about when. */
export const words = {
  likely: "Most likely by",
  surely: "Almost surely by",
  soon: "any moment now",
  noEstimate: "Not enough orders yet to tell when it will be ready.",
  ahead: (count: number) => (count === 0 ? "Nobody is ahead of it." : count === 1 ? "One order is ahead of it." : `${count} orders are ahead of it.`),
  basis: (count: number) => `From how the last ${count} orders went.`,
  onIt: (name: string) => `${name} is on it`,
  remade: "It is made again:",
  remadeLink: "see the new order",
  remakeOf: "Made again for an order that went wrong.",
  staleEstimate: "When it will be ready cannot be told while this page is offline.",
  keep: "Keep this address: it shows your order whenever you open it.",
};

/** The times of an estimate as they are said: the minute in which it is over, or nothing once that is past. */
export function estimateTimes({ p50On, p90On }: Estimate, now: number): { likely: string; surely: string } | undefined {
  if (!p50On || !p90On) return undefined;
  return { likely: byMinute(p50On, now), surely: byMinute(p90On, now) };
}

function byMinute(on: string, now: number): string {
  const minute = 60_000;
  const at = Math.ceil(Date.parse(on) / minute) * minute;
  return at <= now ? words.soon : formatTime(at);
}
