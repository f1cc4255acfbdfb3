import { api, useLineQuery } from "./api/api";
import type { CallError } from "./api/problem";
import type { Station } from "./api/types";
import type { Lag } from "./ui/Freshness";

/** Returns the stations in line order; polls the server until the first success. */
export function useStations(): { stations: Station[] | undefined; error: CallError | undefined } {
  const { data: known } = api.endpoints.line.useQueryState(undefined);
  const { data, error } = useLineQuery(undefined, { pollingInterval: known ? 0 : 2000 });
  return { stations: data?.stations, error };
}

/**
 * Returns the server's lag at the stage where it is worst, or undefined if it has none. It polls every `every` milliseconds,
 * or not at all if `every` is undefined.
 */
export function useLag(every: number | undefined): Lag | undefined {
  const { data, fulfilledTimeStamp: asOf = 0 } = useLineQuery(undefined, { pollingInterval: every ?? 0 });
  const worst = data?.stations.reduce((a, b) => (b.behindSeconds > a.behindSeconds ? b : a));
  if (every === undefined || !worst?.behindSeconds) return undefined;
  return { since: asOf - worst.behindSeconds * 1000, because: worst.behindBecause ?? "", stage: worst.behindAt ?? worst.stage };
}
