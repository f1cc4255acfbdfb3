/**
 * Milliseconds to wait before the next attempt to connect, after so many failed ones in a row. It doubles from half a
 * second up to ten, and the half of it is chance, so that a kitchen full of screens does not return in step.
 * There is no last attempt: nobody in a kitchen presses reload.
 */
export function retryDelay(failures: number, random: () => number = Math.random): number {
  const most = Math.min(10_000, 500 * 2 ** Math.min(failures, 10));
  return most / 2 + (random() * most) / 2;
}
