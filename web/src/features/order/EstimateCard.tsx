import { useEstimateQuery } from "../../api/api";
import type { Order } from "../../api/types";
import { useNow } from "../../ui/age";
import { Icon } from "../../ui/Icon";
import styles from "./EstimateCard.module.css";
import { estimateTimes, words } from "./words";

/** How often the orders ahead are looked at; the order itself is followed live. */
const refresh = 5000;

/** When the order will be shipped, as far as anybody can tell. */
export function EstimateCard({ order, away }: { order: Order; away: boolean }) {
  const { currentData: estimate } = useEstimateQuery({ id: order.id, steps: order.history.length }, { pollingInterval: away ? 0 : refresh });
  const now = useNow();
  if (away) return <p className={styles.none}>{words.staleEstimate}</p>;
  if (!estimate) return null;
  const times = estimateTimes(estimate, now);
  return (
    <section className={styles.estimate} aria-label="When it will be shipped">
      {times ? (
        <dl className={styles.times}>
          <div>
            <dt>{words.likely}</dt>
            <dd>{times.likely}</dd>
          </div>
          <div data-sure>
            <dt>{words.surely}</dt>
            <dd>{times.surely}</dd>
          </div>
        </dl>
      ) : (
        <p className={styles.none}>
          <Icon name="clock" /> {words.noEstimate}
        </p>
      )}
      <p className={styles.basis}>
        {words.ahead(estimate.ahead)} {times && words.basis(estimate.basis)}
      </p>
    </section>
  );
}
