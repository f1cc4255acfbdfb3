import { useState } from "react";
import { useLineQuery, useOrdersQuery, useStatsQuery } from "../../api/api";
import { problemText } from "../../api/problem";
import { useTranslation } from "../../i18n";
import { doneWord, title } from "../../labels";
import { formatTime, useNow } from "../../ui/age";
import { Button } from "../../ui/Button";
import { Freshness } from "../../ui/Freshness";
import { Notice } from "../../ui/Notice";
import { useLag } from "../../useStations";
import { Bottleneck } from "./Bottleneck";
import styles from "./DashboardPage.module.css";
import { DeadLetters } from "./DeadLetters";
import { History } from "./History";
import { LineOverview } from "./LineOverview";
import { OrderTable } from "./OrderTable";
import { Rejected } from "./Rejected";

const polling = { pollingInterval: 1000 };
const slowly = { pollingInterval: 2000 };
const rows = 20;

/** Figures older than this, in milliseconds, have missed several polls. */
const staleAfter = 4000;

export default function DashboardPage() {
  const { t } = useTranslation();
  const line = useLineQuery(undefined, polling);
  const [hours, setHours] = useState(4);
  const { data: stats, error: noStats } = useStatsQuery({ hours }, slowly);
  const [status, setStatus] = useState("");
  // The cursors of the pages up to the current one; the first page has none.
  const [cursors, setCursors] = useState([""]);
  const orders = useOrdersQuery({ status, cursor: cursors.at(-1) ?? "", limit: rows }, polling);

  const behind = useLag(polling.pollingInterval);
  const now = useNow();
  const error = line.error ?? orders.error ?? noStats;
  const asOf = Math.min(line.fulfilledTimeStamp ?? 0, orders.fulfilledTimeStamp ?? now);
  const stale = line.data !== undefined && (error !== undefined || now - asOf > staleAfter);
  const next = orders.data?.next;

  return (
    <div className={styles.page}>
      <title>{`${t("dashboard.title")} · eCupcakes`}</title>
      <div className={styles.top}>
        <h1>{t("dashboard.heading")}</h1>
        <Freshness state={stale ? "offline" : line.data ? "live" : "connecting"} since={stale ? asOf : undefined} behind={behind} />
      </div>
      {error && (
        <Notice>
          {problemText(error)} {stale && t("dashboard.stale", { time: formatTime(asOf) })} {t("trouble.keepsTrying")}
        </Notice>
      )}
      <div className={styles.figures} data-stale={stale || behind !== undefined}>
        {stats && <Bottleneck stats={stats} />}
        {line.data && <LineOverview line={line.data} stats={stats} />}
        {stats && <History stats={stats} hours={hours} onHours={setHours} />}
        <div className={styles.troubles}>
          <Rejected />
          <DeadLetters />
        </div>
        <section aria-labelledby="newest" className={styles.orders}>
          <div className={styles.top}>
            <h2 id="newest">{t("dashboard.newest")}</h2>
            <label className={styles.filter}>
              {t("dashboard.status")}
              <select
                value={status}
                onChange={(event) => {
                  setStatus(event.target.value);
                  setCursors([""]);
                }}
              >
                <option value="">{t("dashboard.all")}</option>
                {["placed", ...(line.data?.stations.map(({ done }) => done) ?? []), "rejected"].map((word) => (
                  <option key={word} value={word}>
                    {title(doneWord(word))}
                  </option>
                ))}
              </select>
            </label>
          </div>
          {orders.currentData && <OrderTable orders={orders.currentData.orders} />}
          <nav className={styles.paging} aria-label={t("dashboard.pages")}>
            <Button idle={cursors.length === 1} onClick={() => { setCursors(cursors.slice(0, -1)); }}>
              {t("dashboard.newer")}
            </Button>
            <span>{t("dashboard.page", { count: cursors.length })}</span>
            <Button idle={!next} onClick={() => { if (next) setCursors([...cursors, next]); }}>
              {t("dashboard.older")}
            </Button>
          </nav>
        </section>
      </div>
    </div>
  );
}
