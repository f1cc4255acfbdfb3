import { Link } from "react-router";
import type { Line } from "../../api/types";
import { title } from "../../labels";
import { Age } from "../../ui/Age";
import { Icon, StageIcon } from "../../ui/Icon";
import styles from "./LineOverview.module.css";

/** The stations in line order with what waits there, and what came out at the end. */
export function LineOverview({ line: { stations, finished } }: { line: Line }) {
  const ends = Object.entries(finished).sort(([a], [b]) => Number(a === "rejected") - Number(b === "rejected"));
  return (
    <section aria-label="Stations">
      <ol className={styles.line}>
        {stations.map(({ stage, page, waiting, oldestArrivedOn }) => (
          <li key={stage} className={styles.station}>
            <h2>
              <Link to={`/${page}`}>
                <StageIcon stage={stage} /> {title(stage)}
              </Link>
            </h2>
            <p className={styles.count}>
              <b>{waiting}</b> waiting
            </p>
            {oldestArrivedOn ? <Age since={oldestArrivedOn} /> : <p className={styles.calm}>nothing to do</p>}
          </li>
        ))}
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
