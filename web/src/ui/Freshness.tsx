import { useTranslation } from "../i18n";
import { stageTitle } from "../labels";
import { formatAge, formatTime, useNow } from "./age";
import styles from "./Freshness.module.css";
import { Icon } from "./Icon";

export type FreshnessState = "live" | "connecting" | "reconnecting" | "offline";

/** What the server shows is as things were then; later ones are held up by this, at that stage. */
export interface Behind {
  since: number;
  because: string;
  stage: string;
}

interface FreshnessProps {
  state: FreshnessState;
  /** Since when the page has not heard from the server. */
  since?: number | undefined;
  /** How far the server itself is behind. */
  behind?: Behind | undefined;
}

/** Says whether what the page shows is true now, and if not, since when it may be wrong. It is always on the page. */
export function Freshness({ state, since, behind }: FreshnessProps) {
  const { t } = useTranslation();
  const time = since === undefined ? undefined : formatTime(since);
  const words = {
    live: t("freshness.live"),
    connecting: t("freshness.connecting"),
    reconnecting: time ? t("freshness.reconnectingSince", { time }) : t("freshness.reconnecting"),
    offline: time ? t("freshness.offlineSince", { time }) : t("freshness.offline"),
  };
  return (
    <p className={styles.freshness} data-state={state === "live" && behind ? "behind" : state} role="status">
      {state === "live" && !behind ? <span className={styles.dot} /> : <Icon name={state === "offline" || behind ? "hurry" : "clock"} />}
      {behind ? (
        <span>
          {state !== "live" && `${words[state]}: `}
          {state === "live" && <BehindSince since={behind.since} />} <Reason behind={behind} />
        </span>
      ) : (
        <span>{words[state]}</span>
      )}
    </p>
  );
}

/** It counts by itself between what the server says, which a screen reader need not hear every second. */
function BehindSince({ since }: { since: number }) {
  const { t } = useTranslation();
  const age = formatAge(useNow() - since);
  return <b aria-live="off">{t("freshness.behind", { age })}</b>;
}

function Reason({ behind: { because, stage } }: { behind: Behind }) {
  const { t } = useTranslation();
  switch (because) {
    case "broker":
      return t("freshness.broker");
    case "processors":
      return t("freshness.processors", { stage: stageTitle(stage) });
    case "view":
      return t("freshness.view");
    default:
      return because;
  }
}
