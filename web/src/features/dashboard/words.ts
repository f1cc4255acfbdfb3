import type { StageStats } from "../../api/types";
import { formatAge } from "../../ui/age";

const percent = (share: number) => `${Math.round(share * 100)} %`;
const count = (n: number, one: string, many: string) => `${n} ${n === 1 ? one : many}`;

export const words = {
  inWork: (n: number) => `${n} in work`,
  perHour: "Done in the last hour",
  half: "Half are done within",
  most: "Nine in ten within",
  rejected: "Rejected",
  tooFew: "no orders yet",
  rejectShare: (s: StageStats) => (s.rejected === 0 ? "none" : `${s.rejected}, ${percent(s.rejectRate)}`),
  bottleneckMark: "Bottleneck",
  bottleneck: (name: string) => `Bottleneck: ${name}`,
  why: (s: StageStats) =>
    `${count(s.waitingSeries.at(-1) ?? s.waiting, "order is", "orders are")} there and ${Math.round(s.perHour)} leave in an hour: ` +
    `one that comes now would be there for about ${formatAge(s.expectedSeconds * 1000)}.` +
    (s.arrived > s.done + s.rejected ? ` More come than go: ${s.arrived} came in the last hour, ${s.done + s.rejected} left.` : ""),
  noBottleneck: "Nothing holds up the line",
  noBottleneckWhy: "At every station an order that comes now gets through before it wants hurrying.",

  history: "The last hours",
  metric: "Show",
  hours: "Time",
  hoursOf: (n: number) => (n === 1 ? "1 hour" : `${n} hours`),
  metrics: { done: "Finished", waiting: "Waiting", rejected: "Rejected" },
  axis: { done: "Orders finished in 5 minutes", waiting: "Orders at the station", rejected: "Orders rejected in 5 minutes" },
  asTable: "The same as a table",
  chart: (what: string, hours: number) => `Chart: ${what.toLowerCase()}, by station, over the last ${hours === 1 ? "hour" : `${hours} hours`}. The same figures are in the table below.`,
  from: "From",
  loadingChart: "Fetching the chart…",

  rejectedOrders: "Rejected orders",
  noRejected: "No order was rejected.",
  remake: "REMAKE",
  remakeOf: (id: string) => `Make order ${id} again`,
  remadeAs: "made again as",
  at: (stage: string, by: string) => `at ${stage}, by ${by}`,
  more: "There are more: filter the orders below by their status.",

  deadLetters: "Dead letters",
  deadLettersAre: "Messages that the line could not use. Nothing else waits for them.",
  noDeadLetters: "There are none.",
  leftOut: "There are more than are listed; they come up when something was done about these.",
  show: "Show",
  hide: "Hide",
  requeue: "Send again",
  drop: "Put aside",
  dropSure: "Really put aside?",
  yes: "Yes, put aside",
  no: "No",
  letter: (id: string) => `dead letter ${id}`,
  where: (topic: string, partition: number, offset: number) => `${topic}, partition ${partition}, offset ${offset}`,
  truncated: "Only the beginning was kept.",
  base64: "Not text; shown as base64.",
  empty: "(empty)",
};
