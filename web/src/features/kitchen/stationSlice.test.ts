import { describe, expect, it } from "vitest";
import type { Order } from "../../api/types";
import type { FeedEvent } from "../../hub/stationFeed";
import { held, received, selectQueue, station, type StationState } from "./stationSlice";

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

describe("the list of waiting orders", () => {
  it("is empty and not live until the snapshot is complete", () => {
    const state = after(arrived("a", 1), arrived("b", 2));
    expect(ids(state)).toEqual([]);
    expect(state.link).toEqual({ state: "connecting" });
  });

  it("shows the whole snapshot at once and is live", () => {
    const state = after(arrived("a", 1), arrived("b", 2), synced);
    expect(ids(state)).toEqual(["a", "b"]);
    expect(state.link).toEqual({ state: "live" });
  });

  it("has the oldest first, whatever order they were told in", () => {
    expect(ids(after(arrived("c", 3), arrived("a", 1), synced, arrived("d", 4), arrived("b", 2)))).toEqual(["a", "b", "c", "d"]);
  });

  it("compares times as times, and ids at the same time", () => {
    const at = (id: string, arrivedOn: string): FeedEvent => ({ type: "arrived", order: { ...order(id, 0), arrivedOn } });
    const state = after(at("c", "2030-01-01T08:00:00.52Z"), at("b", "2030-01-01T08:00:00.5Z"), at("a", "2030-01-01T08:00:00.5Z"), synced);
    expect(ids(state)).toEqual(["a", "b", "c"]);
  });

  it("replaces an order that is announced again", () => {
    const state = after(arrived("a", 1, 5), synced, arrived("a", 1, 6));
    expect(selectQueue({ station: state }).map(({ quantity }) => quantity)).toEqual([6]);
    expect(state.news.count).toBe(0);
  });

  it("counts as news only what arrives while live", () => {
    const { news } = after(arrived("a", 1), synced, arrived("b", 2));
    expect(news.count).toBe(1);
    expect(news.last?.id).toBe("b");
  });

  it("drops an order that left, during the snapshot or after it, and ignores one that it never had", () => {
    expect(ids(after(arrived("a", 1), arrived("b", 2), arrived("c", 3), left("b"), synced, left("a"), left("z")))).toEqual(["c"]);
  });
});

describe("a claim that the line has taken", () => {
  const by = (state: StationState) => selectQueue({ station: state }).map(({ claimedBy }) => claimedBy);
  const tell = (state: StationState, id: string, name: string, on: boolean) => station.reducer(state, held({ id, by: name, on }));
  const waiting = after(arrived("a", 1), arrived("b", 2), synced);

  it("shows before the hub tells it, and so does its end", () => {
    const claimed = tell(waiting, "a", "Ana", true);
    expect(by(claimed)).toEqual(["Ana", undefined]);
    expect(by(tell(claimed, "a", "Ana", false))).toEqual([undefined, undefined]);
  });

  it("does not overrule what the hub has told, nor bring back an order that left", () => {
    const bobs = station.reducer(waiting, received([{ type: "arrived", order: { ...order("a", 1), claimedBy: "Bob" } }]));
    expect(by(tell(bobs, "a", "Ana", true))).toEqual(["Bob", undefined]);
    expect(by(tell(bobs, "a", "Ana", false))).toEqual(["Bob", undefined]);
    expect(tell(waiting, "c", "Ana", true)).toEqual(waiting);
  });
});

describe("a lost connection", () => {
  const live = [arrived("a", 1), arrived("b", 2), synced];

  it("keeps the last list, not live, until the next snapshot is complete", () => {
    const state = after(...live, lost(0), arrived("b", 2), arrived("c", 3));
    expect(ids(state)).toEqual(["a", "b"]);
    expect(state.link).toEqual({ state: "reconnecting", since: 1000 });
  });

  it("starts the list anew with the next snapshot", () => {
    const state = after(...live, lost(0), arrived("b", 2), arrived("c", 3), synced);
    expect(ids(state)).toEqual(["b", "c"]);
    expect(state.link).toEqual({ state: "live" });
  });

  it("goes on where it was when the server says so", () => {
    const state = after(...live, lost(0), left("a"), arrived("c", 3), resumed);
    expect(ids(state)).toEqual(["b", "c"]);
    expect(state.news).toMatchObject({ count: 1, last: { id: "c" } });
  });

  it("forgets what broke off before that", () => {
    expect(ids(after(...live, lost(0), left("a"), lost(0), arrived("c", 3), resumed))).toEqual(["a", "b", "c"]);
  });

  it("forgets a snapshot that broke off", () => {
    expect(ids(after(...live, lost(0), arrived("gone", 3), lost(0), arrived("c", 4), synced))).toEqual(["c"]);
  });

  it("is offline after some failures, since the moment of the first one", () => {
    expect(after(...live, lost(0, 1000), lost(1, 2000), lost(2, 3000)).link).toEqual({ state: "reconnecting", since: 1000 });
    expect(after(...live, lost(0, 1000), lost(1, 2000), lost(2, 3000), lost(3, 4000)).link).toEqual({ state: "offline", since: 1000 });
  });

  it("that never was one is connecting, then offline", () => {
    expect(after(lost(1), lost(2)).link).toEqual({ state: "connecting" });
    expect(after(lost(1), lost(2), lost(3, 3000)).link).toEqual({ state: "offline", since: 3000 });
  });
});

describe("a server that is behind", () => {
  it("is known since when and why, until it is live again", () => {
    const state = after(synced, fresh(12, "processors"));
    expect(state.behind).toEqual({ since: 88_000, because: "processors", stage: "mixing" });
    expect(state.link).toEqual({ state: "live" });
    expect(after(synced, fresh(12, "processors"), fresh(0)).behind).toBeUndefined();
  });

  it("is not known after a loss until it says so", () => {
    expect(after(synced, fresh(12, "broker"), lost(0)).behind).toBeUndefined();
    expect(after(synced, lost(0), fresh(12, "broker")).behind).toMatchObject({ because: "broker" });
  });
});
