import type { followStation } from "./stationFeed";

/** How long to wait before the code is asked for again, in milliseconds. */
const pause = 3000;

/**
 * Is followStation, whose code, with SignalR's client, comes after the page is shown. Browsers keep a failed import for as
 * long as the page lives, so once the server answers again the page is loaded anew.
 */
export const laterStation: typeof followStation = (station, tell) => {
  let stopped = false;
  let stop = () => { stopped = true; };
  const again = (failures: number) => {
    if (stopped) return;
    tell([{ type: "lost", failures, at: Date.now() }]);
    setTimeout(() => {
      fetch("/healthz").then(
        ({ ok }) => {
          if (ok) location.reload();
          else again(failures + 1);
        },
        () => { again(failures + 1); },
      );
    }, pause);
  };
  import("./stationFeed").then(
    (feed) => {
      if (!stopped) stop = feed.followStation(station, tell);
    },
    () => { again(1); },
  );
  return () => { stop(); };
};
