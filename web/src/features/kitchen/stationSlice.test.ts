import { describe, expect, it } from "vitest";
import type { Order } from "../../api/types";
import type { FeedEvent } from "../../hub/stationFeed";
import { claimChanged, received, selectQueue, station, type StationState } from "./stationSlice";

const order = (id: string, minute: number, quantity = 1): Order => ({
  id,
  flavour: "Lemon",
  size: "M",
  quantity,
  status: "placed",
  stage: "mixing",
  state: "waiting",
  placedOn: "2030-01-01T08:00:00.000Z",
  arrivedOn: `2030-01-01T08:${String(minute).padStart(2, "0")}:00.000Z`,
  history: [],
});
const arrived = (...args: Parameters<typeof order>): FeedEvent => ({ type: "arrived", order: order(...args) });
const left = (id: string): FeedEvent => ({ type: "left", id });
const lost = (failures: number, at = 1000): FeedEvent => ({ type: "lost", failures, at });
const synced: FeedEvent = { type: "synced", resumed: false };
const resumed: FeedEvent = { type: "synced", resumed: true };
const fresh = (behind: number, because = "", at = 100_000): FeedEvent => ({ type: "fresh", behind, because, stage: "mixing", at });

function after(...events: FeedEvent[]): StationState {
  return station.reducer(undefined, received(events));
}
const ids = (state: StationState) => selectQueue({ station: state }).map(({ id }) => id);

describe("the queue", () => {
  it("is empty and not live until synced", () => {
    const state = after(arrived("a", 1), arrived("b", 2));
    expect(ids(state)).toEqual([]);
    expect(state.link).toEqual({ state: "connecting" });
  });

  it("shows the whole snapshot and is live once synced", () => {
    const state = after(arrived("a", 1), arrived("b", 2), synced);
    expect(ids(state)).toEqual(["a", "b"]);
    expect(state.link).toEqual({ state: "live" });
  });

  it("is sorted by arrival, independent of the message order", () => {
    expect(ids(after(arrived("c", 3), arrived("a", 1), synced, arrived("d", 4), arrived("b", 2)))).toEqual(["a", "b", "c", "d"]);
  });

  it("compares times numerically, then IDs", () => {
    const at = (id: string, arrivedOn: string): FeedEvent => ({ type: "arrived", order: { ...order(id, 0), arrivedOn } });
    const state = after(at("c", "2030-01-01T08:00:00.52Z"), at("b", "2030-01-01T08:00:00.5Z"), at("a", "2030-01-01T08:00:00.5Z"), synced);
    expect(ids(state)).toEqual(["a", "b", "c"]);
  });

  it("replaces an order that is announced again", () => {
    const state = after(arrived("a", 1, 5), synced, arrived("a", 1, 6));
    expect(selectQueue({ station: state }).map(({ quantity }) => quantity)).toEqual([6]);
    expect(state.newOrders.count).toBe(0);
  });

  it("counts as new only orders that arrive while live", () => {
    const { newOrders } = after(arrived("a", 1), synced, arrived("b", 2));
    expect(newOrders.count).toBe(1);
    expect(newOrders.last?.id).toBe("b");
  });

  it("removes orders that leave during or after the snapshot, and ignores unknown ones", () => {
    expect(ids(after(arrived("a", 1), arrived("b", 2), arrived("c", 3), left("b"), synced, left("a"), left("z")))).toEqual(["c"]);
  });
});

describe("an accepted claim", () => {
  const by = (state: StationState) => selectQueue({ station: state }).map(({ claimedBy }) => claimedBy);
  const claim = (state: StationState, id: string, name: string, on: boolean) => station.reducer(state, claimChanged({ id, by: name, on }));
  const waiting = after(arrived("a", 1), arrived("b", 2), synced);

  it("shows before the hub reports it, and so does a release", () => {
    const claimed = claim(waiting, "a", "Ana", true);
    expect(by(claimed)).toEqual(["Ana", undefined]);
    expect(by(claim(claimed, "a", "Ana", false))).toEqual([undefined, undefined]);
  });

  it("neither overrides the hub's claimant nor restores an order that left", () => {
    const bobs = station.reducer(waiting, received([{ type: "arrived", order: { ...order("a", 1), claimedBy: "Bob" } }]));
    expect(by(claim(bobs, "a", "Ana", true))).toEqual(["Bob", undefined]);
    expect(by(claim(bobs, "a", "Ana", false))).toEqual(["Bob", undefined]);
    expect(claim(waiting, "c", "Ana", true)).toEqual(waiting);
  });
});

describe("a lost connection", () => {
  const live = [arrived("a", 1), arrived("b", 2), synced];

  it("keeps the last queue, not live, until the next synced", () => {
    const state = after(...live, lost(0), arrived("b", 2), arrived("c", 3));
    expect(ids(state)).toEqual(["a", "b"]);
    expect(state.link).toEqual({ state: "reconnecting", since: 1000 });
  });

  it("replaces the queue with the next snapshot", () => {
    const state = after(...live, lost(0), arrived("b", 2), arrived("c", 3), synced);
    expect(ids(state)).toEqual(["b", "c"]);
    expect(state.link).toEqual({ state: "live" });
  });

  it("applies missed events to the queue when resumed", () => {
    const state = after(...live, lost(0), left("a"), arrived("c", 3), resumed);
    expect(ids(state)).toEqual(["b", "c"]);
    expect(state.newOrders).toMatchObject({ count: 1, last: { id: "c" } });
  });

  it("discards events of an interrupted resume", () => {
    expect(ids(after(...live, lost(0), left("a"), lost(0), arrived("c", 3), resumed))).toEqual(["a", "b", "c"]);
  });

  it("discards an interrupted snapshot", () => {
    expect(ids(after(...live, lost(0), arrived("gone", 3), lost(0), arrived("c", 4), synced))).toEqual(["c"]);
  });

  it("is offline after three failures, since the first one", () => {
    expect(after(...live, lost(0, 1000), lost(1, 2000), lost(2, 3000)).link).toEqual({ state: "reconnecting", since: 1000 });
    expect(after(...live, lost(0, 1000), lost(1, 2000), lost(2, 3000), lost(3, 4000)).link).toEqual({ state: "offline", since: 1000 });
  });

  it("before the first connection is connecting, then offline", () => {
    expect(after(lost(1), lost(2)).link).toEqual({ state: "connecting" });
    expect(after(lost(1), lost(2), lost(3, 3000)).link).toEqual({ state: "offline", since: 3000 });
  });
});

describe("the lag of the server", () => {
  it("is kept with its cause until the server is live again", () => {
    const state = after(synced, fresh(12, "processors"));
    expect(state.behind).toEqual({ since: 88_000, because: "processors", stage: "mixing" });
    expect(state.link).toEqual({ state: "live" });
    expect(after(synced, fresh(12, "processors"), fresh(0)).behind).toBeUndefined();
  });

  it("is unknown after a loss until the next report", () => {
    expect(after(synced, fresh(12, "broker"), lost(0)).behind).toBeUndefined();
    expect(after(synced, lost(0), fresh(12, "broker")).behind).toMatchObject({ because: "broker" });
  });
});
