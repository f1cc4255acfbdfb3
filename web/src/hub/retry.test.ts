import { describe, expect, it } from "vitest";
import { retryDelay } from "./retry";

describe("the delay before the next attempt", () => {
  it("doubles up to ten seconds", () => {
    const longest = [0, 1, 2, 3, 4, 5, 6].map((failures) => retryDelay(failures, () => 1));
    expect(longest).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  });

  it("is at least half of that, with jitter", () => {
    expect(retryDelay(2, () => 0)).toBe(1000);
    expect(retryDelay(2, () => 0.5)).toBe(1500);
  });

  it("never ends the retries", () => {
    expect(retryDelay(1_000_000, () => 1)).toBe(10_000);
  });
});
