import { describe, expect, it } from "vitest";
import type { Order } from "../../api/types";
import { notice } from "./alerts";

const patience = { warnSeconds: 300, lateSeconds: 480 };
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

describe("what is worth a sound", () => {
  it("is not what was there when the page came, late or not", () => {
    const first = notice(undefined, [order("a"), order("b", 500)], at(500), patience);
    expect(first.alerts).toEqual({ fresh: false, late: false });
    expect([...first.late]).toEqual(["a"]);
    expect(first.seen.get("a")).toBe(0);
  });

  it("is an order that comes, once", () => {
    const first = notice(undefined, [], at(0), patience);
    const second = notice(first, [order("a", 1)], at(1), patience);
    expect(second.alerts).toEqual({ fresh: true, late: false });
    const third = notice(second, [order("a", 1)], at(2), patience);
    expect(third.alerts.fresh).toBe(false);
    expect(third.seen.get("a")).toBe(at(1));
  });

  it("is an order that becomes late, once", () => {
    const first = notice(undefined, [order("a")], at(479), patience);
    const second = notice(first, [order("a")], at(480), patience);
    expect(second.alerts).toEqual({ fresh: false, late: true });
    expect(notice(second, [order("a")], at(481), patience).alerts.late).toBe(false);
  });

  it("forgets what has left", () => {
    const first = notice(undefined, [order("a")], at(0), patience);
    expect(notice(first, [], at(1), patience).seen.size).toBe(0);
  });
});
