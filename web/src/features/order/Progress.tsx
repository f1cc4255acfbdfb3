import type { Order, Station } from "../../api/types";
import { useTranslation } from "../../i18n";
import { doneWord, stageTitle, title } from "../../labels";
import { formatAge, formatTime, useNow } from "../../ui/age";
import { Icon, StageIcon } from "../../ui/Icon";
import styles from "./Progress.module.css";
import { stepsOf, type Step } from "./steps";

/** The stages of an order: who completed each step, when, and how long it took. */
export function Progress({ order, stations }: { order: Order; stations: Station[] }) {
  const { t } = useTranslation();
  return (
    <ol className={styles.line}>
      <li className={styles.step} data-state="done">
        <span className={styles.mark}>
          <Icon name="note" />
        </span>
        <div>
          <h3>{t("order.placed")}</h3>
          <p>{formatTime(order.placedOn)}</p>
        </div>
      </li>
      {stepsOf(order, stations).map((step) => (
        <li key={step.stage} className={styles.step} data-state={step.state} aria-current={step.state === "here" ? "step" : undefined}>
          <span className={styles.mark}>
            <StageIcon stage={step.stage} />
            {step.state === "done" && <Badge name="check" />}
            {step.state === "rejected" && <Badge name="cross" />}
          </span>
          <div>
            <StepWords step={step} />
          </div>
        </li>
      ))}
    </ol>
  );
}

function StepWords({ step: { stage, done, state, visit, since, by } }: { step: Step }) {
  const { t } = useTranslation();
  if (visit) {
    return (
      <>
        <h3>{state === "rejected" ? t("order.rejectedAt", { stage: stageTitle(stage) }) : title(doneWord(done))}</h3>
        <p>{t("order.byAt", { name: visit.by, time: formatTime(visit.on) })}</p>
        <p>{t("order.after", { age: formatAge(visit.seconds * 1000) })}</p>
      </>
    );
  }
  return (
    <>
      <h3>{stageTitle(stage)}</h3>
      {by && (
        <p className={styles.by}>
          <Icon name="check" /> {t("order.onIt", { name: by })}
        </p>
      )}
      {state === "here" ? since ? <Waiting since={since} /> : <p>{t("order.arriving")}</p> : null}
    </>
  );
}

function Waiting({ since }: { since: string }) {
  const { t } = useTranslation();
  const age = useNow() - Date.parse(since);
  return <p>{t("order.inLine", { age: formatAge(age) })}</p>;
}

function Badge({ name }: { name: "check" | "cross" }) {
  return (
    <span className={styles.badge}>
      <Icon name={name} />
    </span>
  );
}
