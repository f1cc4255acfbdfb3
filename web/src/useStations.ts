import { api, useLineQuery } from "./api/api";
import type { CallError } from "./api/problem";
import type { Station } from "./api/types";
import type { Behind } from "./ui/Freshness";

/** The stations in line order, asked for until the server has told them once. */
export function useStations(): { stations: Station[] | undefined; error: CallError | undefined } {
  const { data: known } = api.endpoints.line.useQueryState(undefined);
  const { data, error } = useLineQuery(undefined, { pollingInterval: known ? 0 : 2000 });
  return { stations: data?.stations, error };
}

/**
 * How far the server's picture of the line is behind, at the stage where it is worst; asked for every so many
 * milliseconds, not at all without a number.
 */
export function useBehind(every: number | undefined): Behind | undefined {
  const { data, fulfilledTimeStamp: asOf = 0 } = useLineQuery(undefined, { pollingInterval: every ?? 0 });
  const worst = data?.stations.reduce((a, b) => (b.behindSeconds > a.behindSeconds ? b : a));
  if (every === undefined || !worst?.behindSeconds) return undefined;
  return { since: asOf - worst.behindSeconds * 1000, because: worst.behindBecause ?? "", stage: worst.behindAt ?? worst.stage };
}
