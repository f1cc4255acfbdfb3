import { lazy, Suspense, useState } from "react";
import type { LineStats } from "../../api/types";
import { useTranslation } from "../../i18n";
import { stageTitle } from "../../labels";
import { formatTime } from "../../ui/age";
import styles from "./History.module.css";

/** Loaded on demand: only this page needs the charting library. */
const Chart = lazy(() => import("./Chart"));

const metrics = ["done", "waiting", "rejected"] as const;
const choices = [1, 4, 8];

const valuesOf = { done: "doneSeries", waiting: "waitingSeries", rejected: "rejectedSeries" } as const;

/** The recent hours of each station, as a chart and as an accessible table. */
export function History({ stats, hours, onHours }: { stats: LineStats; hours: number; onHours: (hours: number) => void }) {
  const { t } = useTranslation();
  const [metric, setMetric] = useState<(typeof metrics)[number]>("done");
  const [point, setPoint] = useState<number>();
  const curves = stats.stages.map((stage) => ({ name: stageTitle(stage.stage), values: stage[valuesOf[metric]] }));
  const first = Date.parse(stats.from) / 1000;
  const times = (curves[0]?.values ?? []).map((_, i) => first + i * stats.bucketSeconds);
  const at = Math.min(point ?? times.length - 1, times.length - 1);
  return (
    <section className={styles.history} aria-labelledby="history">
      <div className={styles.top}>
        <h2 id="history">{t("dashboard.history")}</h2>
        <Choice name={t("dashboard.show")} options={metrics.map((value) => ({ value, text: t(`dashboard.metric.${value}`) }))} value={metric} onChange={setMetric} />
        <Choice name={t("dashboard.time")} options={choices.map((value) => ({ value, text: t("dashboard.hours", { count: value }) }))} value={hours} onChange={onHours} />
      </div>
      <p className={styles.axis}>{t(`dashboard.axis.${metric}`)}</p>
      <Suspense fallback={<p className={styles.chart}>{t("dashboard.fetching")}</p>}>
        <Chart times={times} curves={curves} label={t("dashboard.chart", { what: t(`dashboard.axis.${metric}`) })} onPoint={setPoint} />
      </Suspense>
      <ul className={styles.legend} aria-hidden="true">
        <li className={styles.when}>{formatTime((times[at] ?? 0) * 1000)}</li>
        {curves.map(({ name, values }, i) => (
          <li key={name}>
            <svg viewBox="0 0 32 8" data-curve={i % 5}>
              <path d="M1 4h30" />
            </svg>
            {name} <b>{values[at]}</b>
          </li>
        ))}
      </ul>
      <details className={styles.figures}>
        <summary>{t("dashboard.table")}</summary>
        {/* A wide table scrolls. The element needs a tabIndex to be scrollable by keyboard. */}
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
        <div className={styles.scroll} tabIndex={0} role="region" aria-label={t("dashboard.table")}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t("dashboard.from")}</th>
                {curves.map(({ name }) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {times
                .map((seconds, i) => (
                  <tr key={seconds}>
                    <th scope="row">{formatTime(seconds * 1000)}</th>
                    {curves.map(({ name, values }) => (
                      <td key={name}>{values[i]}</td>
                    ))}
                  </tr>
                ))
                .reverse()}
            </tbody>
          </table>
        </div>
      </details>
    </section>
  );
}

interface ChoiceProps<T> {
  name: string;
  options: { value: T; text: string }[];
  value: T;
  onChange: (value: T) => void;
}

function Choice<T extends string | number>({ name, options, value, onChange }: ChoiceProps<T>) {
  return (
    <fieldset className={styles.choice}>
      <legend>{name}</legend>
      {options.map((option) => (
        <label key={option.value}>
          <input type="radio" name={name} checked={option.value === value} onChange={() => { onChange(option.value); }} />
          {option.text}
        </label>
      ))}
    </fieldset>
  );
}
