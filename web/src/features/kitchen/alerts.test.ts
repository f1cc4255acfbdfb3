import { describe, expect, it } from "vitest";
import type { Order } from "../../api/types";
import { detectAlerts } from "./alerts";

const ageLimits = { warnSeconds: 300, lateSeconds: 480 };
const at = (seconds: number) => Date.parse("2030-01-01T08:00:00Z") + seconds * 1000;
const order = (id: string, arrived = 0): Order => ({
  id,
  flavour: "Lemon",
  size: "M",
  quantity: 1,
  status: "placed",
  state: "waiting",
  placedOn: "2030-01-01T07:00:00Z",
  arrivedOn: new Date(at(arrived)).toISOString(),
  history: [],
});

describe("detectAlerts", () => {
  it("raises no alert for orders present at the start", () => {
    const first = detectAlerts(undefined, [order("a"), order("b", 500)], at(500), ageLimits);
    expect(first.alerts).toEqual({ fresh: false, late: false });
    expect([...first.late]).toEqual(["a"]);
    expect(first.seen.get("a")).toBe(0);
  });

  it("alerts once for a new order", () => {
    const first = detectAlerts(undefined, [], at(0), ageLimits);
    const second = detectAlerts(first, [order("a", 1)], at(1), ageLimits);
    expect(second.alerts).toEqual({ fresh: true, late: false });
    const third = detectAlerts(second, [order("a", 1)], at(2), ageLimits);
    expect(third.alerts.fresh).toBe(false);
    expect(third.seen.get("a")).toBe(at(1));
  });

  it("alerts once for an order that becomes late", () => {
    const first = detectAlerts(undefined, [order("a")], at(479), ageLimits);
    const second = detectAlerts(first, [order("a")], at(480), ageLimits);
    expect(second.alerts).toEqual({ fresh: false, late: true });
    expect(detectAlerts(second, [order("a")], at(481), ageLimits).alerts.late).toBe(false);
  });

  it("forgets orders that have left", () => {
    const first = detectAlerts(undefined, [order("a")], at(0), ageLimits);
    expect(detectAlerts(first, [], at(1), ageLimits).seen.size).toBe(0);
  });
});
