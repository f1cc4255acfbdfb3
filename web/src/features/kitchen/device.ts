/** What this device remembers of the kitchen, under one prefix. Where storage is refused, it is remembered as long as the page. */
const prefix = "ecupcakes.kitchen.";

/** Gives what was written there last, if it passes as what is wanted. */
export function read<T>(place: string, passes: (value: unknown) => value is T): T | undefined {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(prefix + place) ?? "null");
    return passes(value) ? value : undefined;
  } catch {
    return undefined; // Storage is refused, or holds something else.
  }
}

export function write(place: string, value: unknown): void {
  try {
    localStorage.setItem(prefix + place, JSON.stringify(value));
  } catch {
    // Storage is refused or full.
  }
}

export function erase(place: string): void {
  try {
    localStorage.removeItem(prefix + place);
  } catch {
    // Storage is refused: there is nothing to erase.
  }
}

/** The places that begin so. */
export function places(beginning: string): string[] {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(prefix + beginning)).map((key) => key.slice(prefix.length));
  } catch {
    return [];
  }
}

/** The place that a storage event of another page is about, if it is one of the kitchen's. */
export function placeOf({ key }: StorageEvent): string | undefined {
  return key?.startsWith(prefix) ? key.slice(prefix.length) : undefined;
}
