import { useSyncExternalStore } from "react";
import type { Station } from "../api/types";
import { locale } from "../i18n";

export type AgeLevel = "fresh" | "soon" | "late";

/** From when on an order that waits at a station wants hurrying, and is late. */
export type Patience = Pick<Station, "warnSeconds" | "lateSeconds">;

export function ageLevel(milliseconds: number, { warnSeconds, lateSeconds }: Patience): AgeLevel {
  const seconds = milliseconds / 1000;
  return seconds >= lateSeconds ? "late" : seconds >= warnSeconds ? "soon" : "fresh";
}

/** Writes a duration with its two largest units: `42 s`, `3 min 05 s`, `1 h 12 min`, `2 d 3 h`. Less than nothing is `0 s`. */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes < 1) return `${seconds} s`;
  if (hours < 1) return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Writes the time of day as it is usual in the page's language: `12:03`. */
export function formatTime(at: number | string): string {
  return new Date(at).toLocaleTimeString(locale(), { hour: "2-digit", minute: "2-digit" });
}

// One clock for the page, however many ages it shows.
let now = Date.now();
let ticking: ReturnType<typeof setInterval> | undefined;
const watchers = new Set<() => void>();

function watch(watcher: () => void): () => void {
  watchers.add(watcher);
  ticking ??= setInterval(() => {
    now = Date.now();
    for (const notify of watchers) notify();
  }, 1000);
  return () => {
    watchers.delete(watcher);
    if (watchers.size === 0) {
      clearInterval(ticking);
      ticking = undefined;
    }
  };
}

/** The present time in milliseconds, told anew every second. */
export function useNow(): number {
  return useSyncExternalStore(watch, () => now);
}
