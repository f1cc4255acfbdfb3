import { useEffect } from "react";

/** Keeps the screen from going dark while the page is shown. Browsers offer it over HTTPS and on the machine itself only. */
export function useAwake(): void {
  useEffect(() => {
    if (!("wakeLock" in navigator)) return;
    let lock: WakeLockSentinel | undefined;
    let gone = false;
    // The browser takes the lock away whenever the page is hidden.
    const keep = () => {
      if (document.visibilityState !== "visible") return;
      navigator.wakeLock.request("screen").then(
        (held) => {
          if (gone) void held.release();
          else lock = held;
        },
        () => undefined, // The battery is low: the screen may go dark.
      );
    };
    keep();
    document.addEventListener("visibilitychange", keep);
    return () => {
      gone = true;
      document.removeEventListener("visibilitychange", keep);
      void lock?.release();
    };
  }, []);
}

export const canFillScreen = () => document.fullscreenEnabled;

export function toggleFullScreen(): void {
  const change = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  change.catch(() => undefined); // The browser does not want to.
}
