import { loadOrReload } from "../loadOrReload";
import type { followStation } from "./stationFeed";

/** Loads followStation, with the SignalR client, after the first paint and then calls it. Stopping works at any time. */
export const lazyFollowStation: typeof followStation = (station, onEvents) => {
  let stopped = false;
  let stop = () => { stopped = true; };
  const failed = (failures: number) => {
    if (!stopped) onEvents([{ type: "lost", failures, at: Date.now() }]);
    return !stopped;
  };
  void loadOrReload(() => import("./stationFeed"), failed).then((feed) => {
    if (!stopped) stop = feed.followStation(station, onEvents);
  });
  return () => { stop(); };
};
