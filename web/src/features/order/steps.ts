import type { Order, Station, Visit } from "../../api/types";

/** One stage of an order, as shown to the customer. */
export interface Step {
  stage: string;
  done: string;
  state: "done" | "here" | "rejected" | "ahead";
  visit?: Visit;
  /** When the order arrived here, if it is here. */
  since?: string | undefined;
  /** The claimant, if the order is here and claimed. */
  by?: string | undefined;
}

/** Returns the state of each stage from an order's history. A stage without a visit counts as ahead. */
export function stepsOf(order: Order, stations: Pick<Station, "stage" | "done">[]): Step[] {
  const visits = new Map(order.history.map((visit) => [visit.stage, visit]));
  const rejectedAt = order.state === "rejected" ? order.history.at(-1)?.stage : undefined;
  const here = order.state === "waiting" || order.state === "moving" ? (order.stage ?? firstUnvisited(stations, visits)) : undefined;
  return stations.map(({ stage, done }) => {
    const visit = visits.get(stage);
    if (visit) return { stage, done, visit, state: stage === rejectedAt ? "rejected" : "done" };
    return stage === here ? { stage, done, state: "here", since: order.arrivedOn, by: order.claimedBy } : { stage, done, state: "ahead" };
  });
}

function firstUnvisited(stations: Pick<Station, "stage">[], visits: Map<string, Visit>): string | undefined {
  return stations.find(({ stage }) => !visits.has(stage))?.stage;
}
