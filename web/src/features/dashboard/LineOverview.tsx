import { Link } from "react-router";
import type { Line, LineStats, StageStats } from "../../api/types";
import { title } from "../../labels";
import { Age } from "../../ui/Age";
import { formatAge } from "../../ui/age";
import { Icon, StageIcon } from "../../ui/Icon";
import styles from "./LineOverview.module.css";
import { words } from "./words";

/** The stations in line order with what waits there and how they do, and what came out at the end. */
export function LineOverview({ line: { stations, finished }, stats }: { line: Line; stats: LineStats | undefined }) {
  const ends = Object.entries(finished).sort(([a], [b]) => Number(a === "rejected") - Number(b === "rejected"));
  return (
    <section aria-label="Stations">
      <ol className={styles.line}>
        {stations.map((station) => {
          const { stage, page, waiting, oldestArrivedOn } = station;
          const figures = stats?.stages.find((one) => one.stage === stage);
          const worst = stats?.bottleneck === stage;
          return (
            <li key={stage} className={styles.station} data-worst={worst}>
              <h2>
                <Link to={`/${page}`}>
                  <StageIcon stage={stage} /> {title(stage)}
                </Link>
              </h2>
              {worst && <span className={styles.worst}>{words.bottleneckMark}</span>}
              <p className={styles.count}>
                <b>{waiting}</b> waiting
                {figures && figures.inWork > 0 && <span>, {words.inWork(figures.inWork)}</span>}
              </p>
              {oldestArrivedOn ? <Age since={oldestArrivedOn} station={station} /> : <p className={styles.calm}>nothing to do</p>}
              {figures && <Figures stats={figures} />}
            </li>
          );
        })}
      </ol>
      <dl className={styles.finished}>
        {ends.map(([status, count]) => (
          <div key={status} data-status={status}>
            <dt>
              <Icon name={status === "rejected" ? "cross" : "check"} /> {title(status)}
            </dt>
            <dd>{count}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Figures({ stats }: { stats: StageStats }) {
  const time = (seconds: number) => (stats.sample === 0 ? words.tooFew : formatAge(seconds * 1000));
  return (
    <dl className={styles.figures}>
      <div>
        <dt>{words.perHour}</dt>
        <dd>{stats.done}</dd>
      </div>
      <div>
        <dt>{words.half}</dt>
        <dd>{time(stats.p50Seconds)}</dd>
      </div>
      <div>
        <dt>{words.most}</dt>
        <dd>{time(stats.p90Seconds)}</dd>
      </div>
      <div data-bad={stats.rejected > 0}>
        <dt>{words.rejected}</dt>
        <dd>{words.rejectShare(stats)}</dd>
      </div>
    </dl>
  );
}
