/** How long to wait before the server is asked again, in milliseconds. */
const pause = 3000;

/**
 * Fetches code that comes after the page. Browsers keep a failed import for as long as the page lives, so if it fails, the
 * page is loaded anew once the server answers. Each failure is told, the first one at once; whoever answers `false` does
 * not want the code any longer.
 */
export function later<T>(load: () => Promise<T>, failed: (failures: number) => boolean = () => true): Promise<T> {
  return load().catch(() => new Promise<T>(() => { reloadOnceBack(failed, 1); }));
}

function reloadOnceBack(failed: (failures: number) => boolean, failures: number): void {
  if (!failed(failures)) return;
  const again = () => { reloadOnceBack(failed, failures + 1); };
  setTimeout(() => {
    fetch("/healthz").then(({ ok }) => {
      if (ok) location.reload();
      else again();
    }, again);
  }, pause);
}
