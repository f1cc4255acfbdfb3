import { useEstimateQuery } from "../../api/api";
import type { Order } from "../../api/types";
import { useTranslation } from "../../i18n";
import { formatTime, useNow } from "../../ui/age";
import { Icon } from "../../ui/Icon";
import styles from "./EstimateCard.module.css";

/** How often the orders ahead are looked at; the order itself is followed live. */
const refresh = 5000;

/** When the order will be shipped, as far as anybody can tell. */
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
            <dd>{byMinute(p50On, now) ?? t("estimate.now")}</dd>
          </div>
          <div data-sure>
            <dt>{t("estimate.surely")}</dt>
            <dd>{byMinute(p90On, now) ?? t("estimate.now")}</dd>
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

/** The time as it is said: the minute in which it is over; nothing once that is past. */
function byMinute(on: string, now: number): string | undefined {
  const minute = 60_000;
  const at = Math.ceil(Date.parse(on) / minute) * minute;
  return at <= now ? undefined : formatTime(at);
}
