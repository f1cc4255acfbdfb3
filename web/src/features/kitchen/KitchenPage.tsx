import { lazy, Suspense, useEffect } from "react";
import { problemText, type CallError } from "../../api/problem";
import { useTranslation } from "../../i18n";
import { loadOrReload } from "../../loadOrReload";
import { Freshness } from "../../ui/Freshness";
import { NotFoundPage } from "../../ui/NotFoundPage";
import { Notice } from "../../ui/Notice";
import { useStations } from "../../useStations";

// The screen, like the feed it depends on, loads while the list of stations is being fetched.
const loadScreen = () => loadOrReload(() => import("./StationScreen"));
const StationScreen = lazy(async () => ({ default: (await loadScreen()).StationScreen }));

/** Shows the station whose page name is in the address. */
export function KitchenPage({ page }: { page: string }) {
  const { stations, error } = useStations();
  useEffect(() => { void loadScreen(); }, []);
  const station = stations?.find((candidate) => candidate.page === page);
  if (stations && !station) return <NotFoundPage />;
  const looking = <LoadingStation error={error} />;
  return <Suspense fallback={looking}>{station ? <StationScreen key={station.stage} station={station} /> : looking}</Suspense>;
}

function LoadingStation({ error }: { error: CallError | undefined }) {
  const { t } = useTranslation();
  return (
    <>
      <title>eCupcakes</title>
      <h1>{t("kitchen.looking")}</h1>
      <Freshness state="connecting" />
      {error && <Notice>{problemText(error)} {t("trouble.keepsTrying")}</Notice>}
    </>
  );
}
