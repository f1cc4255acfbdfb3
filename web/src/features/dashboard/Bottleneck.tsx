import type { LineStats, StageStats } from "../../api/types";
import { useTranslation } from "../../i18n";
import { stageTitle } from "../../labels";
import { formatAge } from "../../ui/age";
import { Icon } from "../../ui/Icon";
import styles from "./Bottleneck.module.css";

/** Shows the bottleneck station and the reason, or that there is none. */
export function Bottleneck({ stats: { bottleneck, stages } }: { stats: LineStats }) {
  const { t } = useTranslation();
  const worst = stages.find(({ stage }) => stage === bottleneck);
  return (
    <div className={styles.bottleneck} data-some={worst !== undefined} role="status">
      <Icon name={worst ? "hurry" : "check"} />
      <p>
        <b>{worst ? t("dashboard.bottleneckIs", { stage: stageTitle(worst.stage) }) : t("dashboard.noBottleneck")}</b>
        {worst ? <Why worst={worst} /> : <span>{t("dashboard.noBottleneckWhy")}</span>}
      </p>
    </div>
  );
}

/** Explains the bottleneck by Little's law: time at the station = orders there / orders leaving per hour. */
function Why({ worst }: { worst: StageStats }) {
  const { t } = useTranslation();
  const [present, left] = [worst.waitingSeries.at(-1) ?? worst.waiting, worst.done + worst.rejected];
  return (
    <span>
      {t("dashboard.why", { present, perHour: Math.round(worst.perHour), age: roughly(worst.expectedSeconds) })}{" "}
      {worst.arrived > left && t("dashboard.piling", { came: worst.arrived, left })}
    </span>
  );
}

/** Formats an estimate, rounded to minutes. */
function roughly(seconds: number): string {
  const minutes = Math.max(1, Math.round(seconds / 60));
  return minutes < 60 ? `${minutes} min` : formatAge(minutes * 60_000);
}
