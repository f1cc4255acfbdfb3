/** An order as every call and the hub give it. Times are RFC 3339 in UTC. */
export interface Order {
  id: string;
  flavour: string;
  size: string;
  quantity: number;
  /** `placed`, the done-word of the last finished stage, or `rejected`. */
  status: string;
  /** Where the order is now; absent once it is shipped or rejected. */
  stage?: string;
  state: "waiting" | "moving" | "done" | "rejected";
  placedOn: string;
  /** When it arrived at its present stage. */
  arrivedOn?: string;
  claimedBy?: string;
  reason?: string;
  /** The stages behind it, oldest first. On a rejected order, the last entry is the stage that rejected it. */
  history: Visit[];
}

/** What happened to an order at one stage. */
export interface Visit {
  stage: string;
  by: string;
  arrivedOn: string;
  on: string;
  /** From arrival to the step, waiting included. */
  seconds: number;
}

/** One stage of the line and its queue. The words come from the server, so that a new stage needs no new client. */
export interface Station {
  stage: string;
  role: string;
  verb: string;
  action: string;
  done: string;
  page: string;
  topic: string;
  event: string;
  waiting: number;
  oldestArrivedOn?: string;
}

export interface Line {
  /** In line order. */
  stations: Station[];
  finished: { shipped: number; rejected: number };
}

export interface Menu {
  flavours: { name: string }[];
  sizes: string[];
  maxQuantity: number;
}

export interface NewOrder {
  flavour: string;
  size: string;
  quantity: number;
}

export interface OrderPage {
  orders: Order[];
  /** Where the next page starts; absent on the last one. */
  next?: string;
}

/** An error as RFC 9457 has it, with one entry per bad field. */
export interface Problem {
  title?: string;
  status?: number;
  detail?: string;
  errors?: { message?: string; location?: string }[];
}
