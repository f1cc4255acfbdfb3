import { afterEach, describe, expect, it } from "vitest";
import { commandFor, moveSelection } from "./keys";

afterEach(() => { document.body.replaceChildren(); });

const element = (html: string) => {
  document.body.innerHTML = html;
  return document.querySelector("[data-here]") ?? document.body;
};
const press = (key: string, target: EventTarget = document.body, more: Partial<KeyboardEvent> = {}) =>
  commandFor({ key, target, ctrlKey: false, altKey: false, metaKey: false, repeat: false, defaultPrevented: false, ...more });

describe("commandFor", () => {
  it("maps keys to commands", () => {
    expect(press("3")).toEqual({ do: "select", index: 2 });
    expect(press("Enter")).toEqual({ do: "done" });
    expect(press(" ")).toEqual({ do: "done" });
    expect(press("R")).toEqual({ do: "reject" });
    expect(press("ArrowDown")).toEqual({ do: "move", by: "down" });
    expect(press("?")).toEqual({ do: "help" });
    for (const key of ["0", "x", "Tab", "Escape", "Shift"]) expect(press(key)).toBeUndefined();
  });

  it("ignores keys with a modifier or a prevented default", () => {
    for (const more of [{ ctrlKey: true }, { altKey: true }, { metaKey: true }, { defaultPrevented: true }]) expect(press("r", undefined, more)).toBeUndefined();
  });

  it("repeats only moves while a key is held down", () => {
    expect(press("Enter", undefined, { repeat: true })).toBeUndefined();
    expect(press("ArrowUp", undefined, { repeat: true })).toBeDefined();
  });

  it("ignores keys in a text field", () => {
    expect(press("r", element("<textarea data-here></textarea>"))).toBeUndefined();
  });

  it("ignores keys while a dialog is open", () => {
    element("<dialog open></dialog>");
    expect(press("u")).toBeUndefined();
  });

  it("ignores keys in a popover menu", () => {
    expect(press("ArrowDown", element("<nav popover><a href='/' data-here>Mixer</a></nav>"))).toBeUndefined();
  });

  it("leaves Enter to a focused button but handles other keys", () => {
    const button = element("<button data-here>TAKE</button>");
    expect(press("Enter", button)).toBeUndefined();
    expect(press("u", button)).toEqual({ do: "undo" });
  });
});

describe("moveSelection", () => {
  // Eight cards in rows of three: 0 1 2 / 3 4 5 / 6 7
  it.each([
    [-1, "right", 0],
    [-1, "last", 7],
    [0, "left", 0],
    [2, "right", 3],
    [7, "right", 7],
    [4, "up", 1],
    [1, "up", 1],
    [4, "down", 7],
    [5, "down", 7],
    [6, "down", 6],
    [4, "first", 0],
    [4, "last", 7],
  ] as const)("from %d %s is %d", (from, by, to) => {
    expect(moveSelection(from, by, 8, 3)).toBe(to);
  });

  it("is -1 without cards", () => {
    expect(moveSelection(-1, "right", 0, 3)).toBe(-1);
  });
});
