import { useSyncExternalStore } from "react";
import type { Station } from "../api/types";
import { locale } from "../i18n";

export type AgeLevel = "fresh" | "soon" | "late";

/** The ages, in seconds, at which a waiting order is due soon and at which it is late. */
export type AgeLimits = Pick<Station, "warnSeconds" | "lateSeconds">;

export function ageLevel(milliseconds: number, { warnSeconds, lateSeconds }: AgeLimits): AgeLevel {
  const seconds = milliseconds / 1000;
  return seconds >= lateSeconds ? "late" : seconds >= warnSeconds ? "soon" : "fresh";
}

/** Formats a duration in its two largest units: `42 s`, `3 min 05 s`, `1 h 12 min`, `2 d 3 h`. Negative durations are `0 s`. */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes < 1) return `${seconds} s`;
  if (hours < 1) return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Formats the time of day in the page's language: `12:03`. */
export function formatTime(at: number | string): string {
  return new Date(at).toLocaleTimeString(locale(), { hour: "2-digit", minute: "2-digit" });
}

// All ages on the page share one timer.
let now = Date.now();
let ticking: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  ticking ??= setInterval(() => {
    now = Date.now();
    for (const notify of listeners) notify();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(ticking);
      ticking = undefined;
    }
  };
}

/** Returns the current time in milliseconds and re-renders every second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}
