import { useCallback, useRef } from "react";

/**
 * Returns a function that gives the Idempotency-Key for what is about to be sent: the same key as long as the content is
 * the same, so that a retry or a double click is one intent, and a fresh key once the content differs.
 */
export function useIdempotencyKey(): (content: object) => string {
  const last = useRef<{ content: string; key: string }>(null);
  return useCallback((content: object) => {
    const text = JSON.stringify(content);
    if (last.current?.content !== text) last.current = { content: text, key: newKey() };
    return last.current.key;
  }, []);
}

/** 128 random bits in hex. Unlike crypto.randomUUID, this works on a kitchen tablet that has no HTTPS. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
