import { describe, expect, it } from "vitest";
import { ageLevel, formatAge } from "./age";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

describe("an age", () => {
  it.each([
    [-5 * second, "0 s"],
    [0, "0 s"],
    [999, "0 s"],
    [59.9 * second, "59 s"],
    [minute, "1 min 00 s"],
    [3 * minute + 5 * second, "3 min 05 s"],
    [hour - 1, "59 min 59 s"],
    [hour + 12 * minute, "1 h 12 min"],
    [24 * hour, "1 d 0 h"],
    [51 * hour, "2 d 3 h"],
  ])("of %d ms reads %s", (milliseconds, text) => {
    expect(formatAge(milliseconds)).toBe(text);
  });

  it.each([
    [0, "fresh"],
    [5 * minute - 1, "fresh"],
    [5 * minute, "soon"],
    [8 * minute - 1, "soon"],
    [8 * minute, "late"],
  ])("of %d ms is %s", (milliseconds, level) => {
    expect(ageLevel(milliseconds, { warnSeconds: 300, lateSeconds: 480 })).toBe(level);
  });
});
