/** How long to wait before the server is asked again, in milliseconds. */
const pause = 3000;

/**
 * Fetches code that comes after the page. Browsers keep a failed import for as long as the page lives, so if it fails, the
 * page is loaded anew once the server answers.
 */
export function later<T>(load: () => Promise<T>): Promise<T> {
  return load().catch(() => new Promise<T>(() => { setTimeout(reloadOnceBack, pause); }));
}

function reloadOnceBack(): void {
  const again = () => { setTimeout(reloadOnceBack, pause); };
  fetch("/healthz").then(({ ok }) => {
    if (ok) location.reload();
    else again();
  }, again);
}
