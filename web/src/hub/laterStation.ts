import { later } from "../later";
import type { followStation } from "./stationFeed";

/** Is followStation, whose code, with SignalR's client, comes after the page is shown. */
export const laterStation: typeof followStation = (station, tell) => {
  let stopped = false;
  let stop = () => { stopped = true; };
  const failed = (failures: number) => {
    if (!stopped) tell([{ type: "lost", failures, at: Date.now() }]);
    return !stopped;
  };
  void later(() => import("./stationFeed"), failed).then((feed) => {
    if (!stopped) stop = feed.followStation(station, tell);
  });
  return () => { stop(); };
};
