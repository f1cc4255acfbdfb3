import { useEffect } from "react";

/** Keeps the screen on while the page is visible. Browsers allow this only over HTTPS and on localhost. */
export function useWakeLock(): void {
  useEffect(() => {
    if (!("wakeLock" in navigator)) return;
    let lock: WakeLockSentinel | undefined;
    let gone = false;
    // The browser releases the lock whenever the page is hidden.
    const keep = () => {
      if (document.visibilityState !== "visible") return;
      navigator.wakeLock.request("screen").then(
        (held) => {
          if (gone) void held.release();
          else lock = held;
        },
        () => undefined, // Refused, for example on low battery: the screen may turn off.
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

export const canGoFullScreen = () => document.fullscreenEnabled;

export function toggleFullScreen(): void {
  const change = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  change.catch(() => undefined); // The browser refuses outside a user gesture.
}
