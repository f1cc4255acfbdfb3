import { useCallback, useRef } from "react";

/**
 * Returns a function that returns the Idempotency-Key for a request body. The key stays the same while the content does,
 * so that a retry or a double click is idempotent; changed content gets a new key.
 */
export function useIdempotencyKey(): (content: object) => string {
  const last = useRef<{ content: string; key: string }>(null);
  return useCallback((content: object) => {
    const text = JSON.stringify(content);
    if (last.current?.content !== text) last.current = { content: text, key: newKey() };
    return last.current.key;
  }, []);
}

/** Returns 128 random bits in hex. Unlike crypto.randomUUID, this also works without HTTPS, as on a kitchen tablet. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
