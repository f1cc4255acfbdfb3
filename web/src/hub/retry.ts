/**
 * Returns the back-off in milliseconds after the given number of failed attempts. It doubles from 0.5 s to 10 s; half of it
 * is jitter, so that a kitchen full of screens does not reconnect at the same moment. Attempts never stop: nobody in a
 * kitchen presses reload.
 */
export function retryDelay(failures: number, random: () => number = Math.random): number {
  const most = Math.min(10_000, 500 * 2 ** Math.min(failures, 10));
  return most / 2 + (random() * most) / 2;
}
