import { Link } from "wouter";
import type { Line, LineStats, StageStats } from "../../api/types";
import { useTranslation } from "../../i18n";
import { doneWord, stageTitle, title } from "../../labels";
import { Age } from "../../ui/Age";
import { formatAge } from "../../ui/age";
import { Icon, StageIcon } from "../../ui/Icon";
import styles from "./LineOverview.module.css";

/** The stations in line order with their queues and figures, and the totals of finished orders. */
export function LineOverview({ line: { stations, finished }, stats }: { line: Line; stats: LineStats | undefined }) {
  const { t } = useTranslation();
  const ends = Object.entries(finished).sort(([a], [b]) => Number(a === "rejected") - Number(b === "rejected"));
  return (
    <section aria-label={t("dashboard.stations")}>
      <ol className={styles.line}>
        {stations.map((station) => {
          const { stage, page, waiting, oldestArrivedOn } = station;
          const figures = stats?.stages.find((one) => one.stage === stage);
          const worst = stats?.bottleneck === stage;
          return (
            <li key={stage} className={styles.station} data-worst={worst}>
              <h2>
                <Link href={`/${page}`}>
                  <StageIcon stage={stage} /> {stageTitle(stage)}
                </Link>
              </h2>
              {worst && <span className={styles.worst}>{t("dashboard.bottleneck")}</span>}
              <p className={styles.count}>
                <b>{waiting}</b> {t("dashboard.waiting")}
              </p>
              <p className={styles.state}>
                {oldestArrivedOn ? <Age since={oldestArrivedOn} at={station} /> : t("dashboard.calm")}
                {figures && figures.inWork > 0 && <span>{t("dashboard.inWork", { count: figures.inWork })}</span>}
              </p>
              {figures && <Figures stats={figures} />}
            </li>
          );
        })}
      </ol>
      <dl className={styles.finished}>
        {ends.map(([status, count]) => (
          <div key={status} data-status={status}>
            <dt>
              <Icon name={status === "rejected" ? "cross" : "check"} /> {title(doneWord(status))}
            </dt>
            <dd>{count}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Figures({ stats }: { stats: StageStats }) {
  const { t } = useTranslation();
  const time = (seconds: number) => (stats.sample === 0 ? t("dashboard.noTimes") : formatAge(seconds * 1000));
  return (
    <dl className={styles.figures}>
      <div>
        <dt>{t("dashboard.perHour")}</dt>
        <dd>{stats.done}</dd>
      </div>
      <div>
        <dt>{t("dashboard.half")}</dt>
        <dd>{time(stats.p50Seconds)}</dd>
      </div>
      <div>
        <dt>{t("dashboard.most")}</dt>
        <dd>{time(stats.p90Seconds)}</dd>
      </div>
      <div data-bad={stats.rejected > 0}>
        <dt>{t("dashboard.rejected")}</dt>
        <dd>{stats.rejected === 0 ? 0 : t("dashboard.share", { count: stats.rejected, percent: Math.round(stats.rejectRate * 100) })}</dd>
      </div>
    </dl>
  );
}
