import type { Order, Station } from "./api/types";
import { forServer, t, word } from "./i18n";

// The words that people read, for the words that the server uses. Everything falls back to the server's own word, so a
// stage, size or status that no catalogue knows shows up plainly but correctly.

export function title(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function sizeTitle(size: string): string {
  return word("sizes", size, size);
}

export function flavourTitle(flavour: string): string {
  return word("flavours", flavour, flavour);
}

export function ingredientTitle(ingredient: string): string {
  return word("ingredients", ingredient, ingredient);
}

export function roleTitle(role: string): string {
  return word("roles", role, title(role));
}

export function stageTitle(stage: string): string {
  return word("stages", stage, title(stage));
}

/** What an order is after a stage, or before the first: `mixed`. */
export function doneWord(done: string): string {
  return word("done", done, done);
}

/** What the button of a station says. */
export function actionLabel({ verb, action }: Pick<Station, "verb" | "action">): string {
  return word("actions", verb, action);
}

/** What a worker there most often rejects an order for. */
export function reasonsAt(stage: string): string[] {
  const reasons = forServer<string[]>("reasons");
  return reasons[stage] ?? reasons.any ?? [];
}

/** One line for the customer on where the order is. */
export function whereItIs(order: Order, stations: Station[]): string {
  if (order.state === "rejected") return t("where.rejected");
  if (order.state === "done") return t("where.done");
  if (order.state === "moving" || !order.stage) return t("where.moving");
  const done = stations.find((station) => station.stage === order.stage)?.done;
  return word("waiting", order.stage, done ? t("where.toBe", { done: doneWord(done) }) : t("where.at", { stage: stageTitle(order.stage).toLowerCase() }));
}

/** The end of an order's id tells orders apart at a glance; ids start with the time and so look alike at the front. */
export function shortId(id: string): string {
  return id.slice(-6);
}
