import { useSyncExternalStore } from "react";
import { load, save } from "./device";

/** `blocked`: sound is enabled, but the browser plays none before the first user gesture. */
export type Sound = "on" | "off" | "blocked";

/** A tone: pitch in hertz, start and length in seconds. */
type Tone = [pitch: number, start: number, length: number];

/** A new order plays two rising tones, a late one three low tones; they must be distinguishable from the next room. */
const sounds: Record<"fresh" | "late", { wave: OscillatorType; tones: Tone[] }> = {
  fresh: { wave: "sine", tones: [[880, 0, 0.35], [1318.5, 0.14, 0.6]] },
  late: { wave: "triangle", tones: [[392, 0, 0.22], [392, 0.28, 0.22], [392, 0.56, 0.4]] },
};

let enabled = load("sound", (value) => typeof value === "boolean") ?? true;
let context: AudioContext | undefined;
/** Events that browsers accept as a user gesture for audio; pointerdown alone is not one. */
const unlockEvents = ["click", "keydown"];
const listeners = new Set<() => void>();
const notifyListeners = () => { for (const notify of listeners) notify(); };

function current(): Sound {
  if (!enabled) return "off";
  return context?.state === "running" ? "on" : "blocked";
}

/** Starts or resumes audio. It has no effect before the first user gesture. */
function unlockAudio(): void {
  if (!enabled || !("AudioContext" in window)) return;
  if (!context) {
    context = new AudioContext();
    context.addEventListener("statechange", notifyListeners);
  }
  if (context.state !== "running") void context.resume().catch(() => undefined);
}

function subscribe(notify: () => void): () => void {
  listeners.add(notify);
  if (listeners.size === 1) {
    unlockAudio();
    for (const touch of unlockEvents) document.addEventListener(touch, unlockAudio);
  }
  return () => {
    listeners.delete(notify);
    if (listeners.size === 0) for (const touch of unlockEvents) document.removeEventListener(touch, unlockAudio);
  };
}

export function useSound(): Sound {
  return useSyncExternalStore(subscribe, current);
}

/** Turns sound on or off for this device. */
export function setSoundEnabled(on: boolean): void {
  enabled = on;
  save("sound", enabled);
  unlockAudio();
  notifyListeners();
}

/** Turns sound off if it is on; otherwise, also when blocked, turns it on. */
export function toggleSound(): void {
  setSoundEnabled(current() !== "on");
}

/** Plays a sound if sound is on. The screen always shows the same information. */
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
