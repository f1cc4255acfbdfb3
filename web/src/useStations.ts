import { api, useLineQuery } from "./api/api";
import type { CallError } from "./api/problem";
import type { Station } from "./api/types";

/** The stations in line order, asked for until the server has told them once. */
export function useStations(): { stations: Station[] | undefined; error: CallError | undefined } {
  const { data: known } = api.endpoints.line.useQueryState(undefined);
  const { data, error } = useLineQuery(undefined, { pollingInterval: known ? 0 : 2000 });
  return { stations: data?.stations, error };
}
