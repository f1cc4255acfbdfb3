import type { components } from "./schema";

type Schemas = components["schemas"];

/** An order as every call and the hub give it. */
export type Order = Schemas["Order"];
/** What happened to an order at one stage. */
export type Visit = Schemas["Step"];
/** One stage of the line and its queue. The words come from the server, so that a new stage needs no new client. */
export type Station = Schemas["Station"];
export type Line = Schemas["StationsOutputBody"];
export type Menu = Schemas["Menu"];
export type OrderPage = Schemas["ListOutputBody"];
export type Estimate = Schemas["Estimate"];
/** The line at a glance: how each stage does, and the last hours. */
export type LineStats = Schemas["StatsOutputBody"];
export type StageStats = Schemas["StageStats"];
export type Board = Schemas["BoardOutputBody"];
/** A message that the line could not use; only a single one has its value. */
export type DeadLetter = Schemas["DeadLetter"];
export type DeadLetters = Schemas["LettersOutputBody"];
export type Placed = Schemas["Placed"];
/** An error as RFC 9457 has it, with one entry per bad field. A proxy in between may leave anything out. */
export type Problem = Partial<Schemas["Problem"]>;

export interface NewOrder {
  flavour: string;
  size: string;
  quantity: number;
}
