import type { CallError } from "./problem";

/** How long the server may hold an answer back while nothing changes: what is shown as live is at most that many seconds old. */
export const wait = 10;
/** An answer that is that many milliseconds later than the server promised is not coming any more. */
const patience = 5000;
/** Milliseconds between two calls: things change in steps, and a server that is too busy to wait answers at once. */
export const pause = 300;
const [firstRetry, lastRetry] = [1000, 8000];

/** How many milliseconds to wait after so many failures in a row, the first one being 0. */
export function retryAfter(failures: number): number {
  return Math.min(firstRetry * 2 ** failures, lastRetry) * (0.75 + Math.random() / 2);
}

/** What there is now; absent if it is what the ETag stands for. */
type Answer<T> = { now: T | undefined; etag: string } | { error: CallError };

/** Asks for what is at a path of the API; the server waits up to so many seconds for another version than that of the ETag. */
export async function askForChange<T>(path: string, etag: string, seconds: number, signal: AbortSignal): Promise<Answer<T>> {
  const lost = new AbortController();
  const lose = () => { lost.abort(); };
  window.addEventListener("offline", lose); // A call that waits would notice it late.
  try {
    const response = await fetch(`${location.origin}/api/v1${path}`, {
      headers: { Prefer: `wait=${seconds}`, ...(etag && { "If-None-Match": etag }) },
      cache: "no-store",
      signal: AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000 + patience), lost.signal]),
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

/** Calls tell with each new version of what is at a path, until the signal. Failures are retried for ever. */
export async function tellChanges(path: string, tell: (now: unknown) => void, signal: AbortSignal): Promise<void> {
  let etag = "";
  let failures = 0;
  while (!signal.aborted) {
    const answer = await askForChange<unknown>(path, etag, wait, signal);
    if ("error" in answer) {
      await rest(retryAfter(failures++), signal);
      continue;
    }
    failures = 0;
    etag = answer.etag;
    if (answer.now) tell(answer.now);
    await rest(pause, signal);
  }
}

/** Returns after so many milliseconds, or sooner when there is a reason to look. */
export function rest(milliseconds: number, signal: AbortSignal): Promise<void> {
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
