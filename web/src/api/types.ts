import type { components } from "./schema";

type Schemas = components["schemas"];

/** An order as the API and the hub return it. */
export type Order = Schemas["Order"];
/** An order's completed step at one stage. */
export type Visit = Schemas["Step"];
/** One stage of the line and its queue. Its names come from the server, so a new stage needs no change of the client. */
export type Station = Schemas["Station"];
export type Line = Schemas["StationsOutputBody"];
export type Menu = Schemas["Menu"];
export type OrderPage = Schemas["ListOutputBody"];
export type Estimate = Schemas["Estimate"];
/** Statistics of the line: current figures and time series per stage. */
export type LineStats = Schemas["StatsOutputBody"];
export type StageStats = Schemas["StageStats"];
export type Board = Schemas["BoardOutputBody"];
/** A message that could not be processed. Its value is only included when a single dead letter is requested. */
export type DeadLetter = Schemas["DeadLetter"];
export type DeadLetters = Schemas["LettersOutputBody"];
export type Placed = Schemas["Placed"];
/** An RFC 9457 problem with one entry per invalid field. All fields are optional, as a proxy may answer instead of the server. */
export type Problem = Partial<Schemas["Problem"]>;

export interface NewOrder {
  flavour: string;
  size: string;
  quantity: number;
}
