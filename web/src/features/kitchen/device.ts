/** All keys of the kitchen in localStorage share this prefix. If storage is refused, values last only as long as the page. */
const prefix = "ecupcakes.kitchen.";

/** Returns the stored value, or undefined if there is none or it is not valid. */
export function load<T>(key: string, isValid: (value: unknown) => value is T): T | undefined {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(prefix + key) ?? "null");
    return isValid(value) ? value : undefined;
  } catch {
    return undefined; // Storage is refused, or the value is not JSON.
  }
}

export function save(key: string, value: unknown): void {
  try {
    localStorage.setItem(prefix + key, JSON.stringify(value));
  } catch {
    // Storage is refused or full.
  }
}

export function remove(key: string): void {
  try {
    localStorage.removeItem(prefix + key);
  } catch {
    // Storage is refused, so there is nothing to remove.
  }
}

/** Returns the stored keys with the given prefix. */
export function storedKeys(beginning: string): string[] {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(prefix + beginning)).map((key) => key.slice(prefix.length));
  } catch {
    return [];
  }
}

/** Returns the kitchen's key that a storage event is about, or undefined for other keys. */
export function storedKeyOf({ key }: StorageEvent): string | undefined {
  return key?.startsWith(prefix) ? key.slice(prefix.length) : undefined;
}
