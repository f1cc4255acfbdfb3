import type { Order, Station } from "./api/types";
import { serverTerms, t, serverTerm } from "./i18n";

// Labels for the server's terms. Each falls back to the server's own word, so a stage, size or status without a translation
// is still shown correctly.

export function title(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function sizeTitle(size: string): string {
  return serverTerm("sizes", size, size);
}

export function flavourTitle(flavour: string): string {
  return serverTerm("flavours", flavour, flavour);
}

export function ingredientTitle(ingredient: string): string {
  return serverTerm("ingredients", ingredient, ingredient);
}

export function roleTitle(role: string): string {
  return serverTerm("roles", role, title(role));
}

export function stageTitle(stage: string): string {
  return serverTerm("stages", stage, title(stage));
}

/** Returns the label of an order's status, such as `mixed`. */
export function doneWord(done: string): string {
  return serverTerm("done", done, done);
}

/** Returns the label of a station's main button. */
export function actionLabel({ verb, action }: Pick<Station, "verb" | "action">): string {
  return serverTerm("actions", verb, action);
}

/** Returns the common reasons for a rejection at a stage. */
export function reasonsAt(stage: string): string[] {
  const reasons = serverTerms<string[]>("reasons");
  return reasons[stage] ?? reasons.any ?? [];
}

/** Returns one line that tells the customer where the order is. */
export function whereItIs(order: Order, stations: Station[]): string {
  if (order.state === "rejected") return t("where.rejected");
  if (order.state === "done") return t("where.done");
  if (order.state === "moving" || !order.stage) return t("where.moving");
  const done = stations.find((station) => station.stage === order.stage)?.done;
  return serverTerm("waiting", order.stage, done ? t("where.toBe", { done: doneWord(done) }) : t("where.at", { stage: stageTitle(order.stage).toLowerCase() }));
}

/** Returns the last six characters of an order ID. IDs begin with a timestamp, so their beginnings look alike. */
export function shortId(id: string): string {
  return id.slice(-6);
}
