import { useEstimateQuery } from "../../api/api";
import type { Order } from "../../api/types";
import { useTranslation } from "../../i18n";
import { formatTime, useNow } from "../../ui/age";
import { Icon } from "../../ui/Icon";
import styles from "./EstimateCard.module.css";

/** Polling interval of the estimate, in milliseconds; the order itself is followed live. */
const refresh = 5000;

/** The estimated shipping time of an order: its median and 90th percentile. */
export function EstimateCard({ order, away }: { order: Order; away: boolean }) {
  const { t } = useTranslation();
  const { currentData: estimate } = useEstimateQuery({ id: order.id, steps: order.history.length }, { pollingInterval: away ? 0 : refresh });
  const now = useNow();
  if (away) return <p className={styles.none}>{t("estimate.offline")}</p>;
  if (!estimate) return null;
  const { p50On, p90On, ahead, basis } = estimate;
  return (
    <section className={styles.estimate} aria-label={t("estimate.label")}>
      {p50On && p90On ? (
        <dl className={styles.times}>
          <div>
            <dt>{t("estimate.likely")}</dt>
            <dd>{formatMinute(p50On, now) ?? t("estimate.now")}</dd>
          </div>
          <div data-sure>
            <dt>{t("estimate.surely")}</dt>
            <dd>{formatMinute(p90On, now) ?? t("estimate.now")}</dd>
          </div>
        </dl>
      ) : (
        <p className={styles.none}>
          <Icon name="clock" /> {t("estimate.none")}
        </p>
      )}
      <p className={styles.basis}>
        {t("estimate.ahead", { count: ahead })} {p50On && t("estimate.basis", { count: basis })}
      </p>
    </section>
  );
}

/** Formats a time, rounded up to the minute; returns undefined once it has passed. */
function formatMinute(on: string, now: number): string | undefined {
  const minute = 60_000;
  const at = Math.ceil(Date.parse(on) / minute) * minute;
  return at <= now ? undefined : formatTime(at);
}
