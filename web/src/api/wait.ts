import type { CallError } from "./problem";

/** Long-poll timeout in seconds. A page shown as live is at most this old. */
export const longPollSeconds = 10;
/** How much later than promised the server may answer before the request counts as lost, in milliseconds. */
const graceMilliseconds = 5000;
/** Pause between two calls, in milliseconds. It bounds the rate when a busy server answers without waiting. */
export const pauseMilliseconds = 300;
const [firstRetry, lastRetry] = [1000, 8000];

/** Returns the back-off in milliseconds after the given number of earlier failures in a row, with ±25 % jitter. */
export function retryAfter(failures: number): number {
  return Math.min(firstRetry * 2 ** failures, lastRetry) * (0.75 + Math.random() / 2);
}

/** `now` is undefined if the resource still matches the ETag. */
type Answer<T> = { now: T | undefined; etag: string } | { error: CallError };

/** Fetches a path of the API. The server holds the answer for up to `seconds` until the resource no longer matches the ETag. */
export async function longPoll<T>(path: string, etag: string, seconds: number, signal: AbortSignal): Promise<Answer<T>> {
  const lost = new AbortController();
  const lose = () => { lost.abort(); };
  window.addEventListener("offline", lose); // fetch alone would notice a lost network only at its timeout.
  try {
    const response = await fetch(`${location.origin}/api/v1${path}`, {
      headers: { Prefer: `wait=${seconds}`, ...(etag && { "If-None-Match": etag }) },
      cache: "no-store",
      signal: AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000 + graceMilliseconds), lost.signal]),
    });
    if (response.status === 304) return { now: undefined, etag };
    const body: unknown = await response.json();
    if (!response.ok) return { error: { status: response.status, data: body } };
    return { now: body as T, etag: response.headers.get("ETag") ?? "" };
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    return { error: { status: late ? "TIMEOUT_ERROR" : "FETCH_ERROR", error: String(error) } };
  } finally {
    window.removeEventListener("offline", lose);
  }
}

/** Calls onChange with each new version of a resource until the signal aborts. Failures are retried without limit. */
export async function followChanges(path: string, onChange: (now: unknown) => void, signal: AbortSignal): Promise<void> {
  let etag = "";
  let failures = 0;
  while (!signal.aborted) {
    const answer = await longPoll<unknown>(path, etag, longPollSeconds, signal);
    if ("error" in answer) {
      await sleep(retryAfter(failures++), signal);
      continue;
    }
    failures = 0;
    etag = answer.etag;
    if (answer.now) onChange(answer.now);
    await sleep(pauseMilliseconds, signal);
  }
}

/** Resolves after the given time, or earlier when the network comes back or the signal aborts. */
export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    window.addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}
