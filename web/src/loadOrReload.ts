/** Time between two health checks, in milliseconds. */
const retryPause = 3000;

/**
 * Loads a chunk of code. Browsers cache a failed import for the lifetime of the page, so after a failure the page is
 * reloaded once the server is healthy. `failed` is called after each failure and may return false to stop the retries.
 */
export function loadOrReload<T>(load: () => Promise<T>, failed: (failures: number) => boolean = () => true): Promise<T> {
  return load().catch(() => new Promise<T>(() => { reloadWhenServerAnswers(failed, 1); }));
}

function reloadWhenServerAnswers(failed: (failures: number) => boolean, failures: number): void {
  if (!failed(failures)) return;
  const again = () => { reloadWhenServerAnswers(failed, failures + 1); };
  setTimeout(() => {
    fetch("/healthz").then(({ ok }) => {
      if (ok) location.reload();
      else again();
    }, again);
  }, retryPause);
}
