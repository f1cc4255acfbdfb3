import { useSyncExternalStore } from "react";
import { read, write } from "./device";

/** `blocked`: sound is wanted, but the browser makes none before somebody has touched the page. */
export type Sound = "on" | "off" | "blocked";

/** A tone: Hertz, and in seconds when it begins and how long it rings. */
type Tone = [pitch: number, start: number, length: number];

/** Two that rise for a new order; three, low and the same, for one that is late. They must be told apart from the next room. */
const sounds: Record<"fresh" | "late", { wave: OscillatorType; tones: Tone[] }> = {
  fresh: { wave: "sine", tones: [[880, 0, 0.35], [1318.5, 0.14, 0.6]] },
  late: { wave: "triangle", tones: [[392, 0, 0.22], [392, 0.28, 0.22], [392, 0.56, 0.4]] },
};

let wanted = read("sound", (value) => typeof value === "boolean") ?? true;
let context: AudioContext | undefined;
/** What counts as touching the page; a finger that only comes down does not. */
const touches = ["click", "keydown"];
const watchers = new Set<() => void>();
const tell = () => { for (const notify of watchers) notify(); };

function current(): Sound {
  if (!wanted) return "off";
  return context?.state === "running" ? "on" : "blocked";
}

/** Has the browser make sound, which it does only if somebody has touched the page. */
function unblock(): void {
  if (!wanted || !("AudioContext" in window)) return;
  if (!context) {
    context = new AudioContext();
    context.addEventListener("statechange", tell);
  }
  if (context.state !== "running") void context.resume().catch(() => undefined);
}

function watch(notify: () => void): () => void {
  watchers.add(notify);
  if (watchers.size === 1) {
    unblock();
    for (const touch of touches) document.addEventListener(touch, unblock);
  }
  return () => {
    watchers.delete(notify);
    if (watchers.size === 0) for (const touch of touches) document.removeEventListener(touch, unblock);
  };
}

export function useSound(): Sound {
  return useSyncExternalStore(watch, current);
}

/** Turns sound on or off for this device. */
export function turnSound(on: boolean): void {
  wanted = on;
  write("sound", wanted);
  unblock();
  tell();
}

/** Turns sound off if there is any, and else on. */
export function toggleSound(): void {
  turnSound(current() !== "on");
}

/** Plays a sound if there is to be any. What it says is always on the screen as well. */
export function play(name: keyof typeof sounds): void {
  if (current() !== "on" || !context) return;
  const { wave, tones } = sounds[name];
  for (const [pitch, start, length] of tones) {
    const [tone, volume] = [context.createOscillator(), context.createGain()];
    const at = context.currentTime + start;
    tone.type = wave;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(0.5, at + 0.015);
    volume.gain.exponentialRampToValueAtTime(0.001, at + length);
    tone.connect(volume).connect(context.destination);
    tone.start(at);
    tone.stop(at + length);
  }
}
