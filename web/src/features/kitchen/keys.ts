/** A command given with a key of a keyboard or a bump bar, or with the toolbar. */
export type Command =
  | { do: "select"; index: number }
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

/** Elements that handle Enter and Space themselves, and elements that take text. */
const pressable = "button, a[href], summary, [role=button]";
const writable = "input, textarea, select, [contenteditable]";

/** Returns the command for a key press, or undefined if the key belongs to an element, a dialog or the browser. A key held down repeats only moves. */
export function commandFor(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "altKey" | "metaKey" | "repeat" | "target" | "defaultPrevented">): Command | undefined {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return undefined;
  const target = event.target instanceof Element ? event.target : undefined;
  if (target?.closest(writable) || document.querySelector("dialog[open]") || target?.closest("[popover]")) return undefined;
  const command = /^[1-9]$/.test(event.key) ? ({ do: "select", index: Number(event.key) - 1 } as const) : commands[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (command?.do === "done" && target?.closest(pressable)) return undefined;
  if (event.repeat && command?.do !== "move") return undefined;
  return command;
}

/** Returns the index of the card after a move. Without a selection it is the first card; moves stop at the edges. */
export function moveSelection(from: number, by: Extract<Command, { do: "move" }>["by"], count: number, columns: number): number {
  const last = count - 1;
  if (from < 0) return by === "last" ? last : Math.min(0, last);
  const steps = { left: -1, right: 1, up: -columns, down: columns, first: -from, last: last - from };
  const to = from + steps[by];
  if (by === "up" && to < 0) return from;
  // Down from a full row to a shorter last row: select its last card.
  if (by === "down" && to > last) return Math.floor(last / columns) > Math.floor(from / columns) ? last : from;
  return Math.max(0, Math.min(last, to));
}
