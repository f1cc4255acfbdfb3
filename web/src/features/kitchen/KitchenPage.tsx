import { lazy, Suspense, useEffect } from "react";
import { problemText, type CallError } from "../../api/problem";
import { useTranslation } from "../../i18n";
import { later } from "../../later";
import { Freshness } from "../../ui/Freshness";
import { NotFoundPage } from "../../ui/NotFoundPage";
import { Notice } from "../../ui/Notice";
import { useStations } from "../../useStations";

// Like the feed, without which there is nothing on it, the screen comes while the page asks which stations there are.
const loadScreen = () => later(() => import("./StationScreen"));
const StationScreen = lazy(async () => ({ default: (await loadScreen()).StationScreen }));

/** The page of a station, by the name that it has in the address. */
export function KitchenPage({ page }: { page: string }) {
  const { stations, error } = useStations();
  useEffect(() => { void loadScreen(); }, []);
  const station = stations?.find((candidate) => candidate.page === page);
  if (stations && !station) return <NotFoundPage />;
  const looking = <Looking error={error} />;
  return <Suspense fallback={looking}>{station ? <StationScreen key={station.stage} station={station} /> : looking}</Suspense>;
}

function Looking({ error }: { error: CallError | undefined }) {
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
