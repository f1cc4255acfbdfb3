/** What a key on a keyboard or a bump bar asks for. */
export type Command =
  | { do: "select"; place: number }
  | { do: "move"; by: "left" | "right" | "up" | "down" | "first" | "last" }
  | { do: "done" | "reject" | "take" | "undo" | "allDay" | "combine" | "recall" | "sound" | "fullScreen" | "help" };

const commands: Partial<Record<string, Command>> = {
  ArrowLeft: { do: "move", by: "left" },
  ArrowRight: { do: "move", by: "right" },
  ArrowUp: { do: "move", by: "up" },
  ArrowDown: { do: "move", by: "down" },
  Home: { do: "move", by: "first" },
  End: { do: "move", by: "last" },
  Enter: { do: "done" },
  " ": { do: "done" },
  r: { do: "reject" },
  t: { do: "take" },
  u: { do: "undo" },
  a: { do: "allDay" },
  c: { do: "combine" },
  l: { do: "recall" },
  s: { do: "sound" },
  f: { do: "fullScreen" },
  "?": { do: "help" },
};

/** Elements that do something themselves with Enter and Space, and those that take text. */
const pressable = "button, a[href], summary, [role=button]";
const writable = "input, textarea, select, [contenteditable]";

/** What a pressed key asks the kitchen for; nothing if it is meant for something else. A key that is kept down is one press. */
export function commandFor(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "altKey" | "metaKey" | "repeat" | "target" | "defaultPrevented">): Command | undefined {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return undefined;
  const target = event.target instanceof Element ? event.target : undefined;
  if (target?.closest(writable) || document.querySelector("dialog[open]") || target?.closest("[popover]")) return undefined;
  const command = /^[1-9]$/.test(event.key) ? ({ do: "select", place: Number(event.key) - 1 } as const) : commands[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (command?.do === "done" && target?.closest(pressable)) return undefined;
  if (event.repeat && command?.do !== "move") return undefined;
  return command;
}

/** Where a move leads among so many cards in rows of so many; from nowhere, to the first. It stays at the edges. */
export function moved(from: number, by: Extract<Command, { do: "move" }>["by"], count: number, columns: number): number {
  const last = count - 1;
  if (from < 0) return by === "last" ? last : Math.min(0, last);
  const steps = { left: -1, right: 1, up: -columns, down: columns, first: -from, last: last - from };
  const to = from + steps[by];
  if (by === "up" && to < 0) return from;
  // Down from a full row above a short one: to its end.
  if (by === "down" && to > last) return Math.floor(last / columns) > Math.floor(from / columns) ? last : from;
  return Math.max(0, Math.min(last, to));
}
