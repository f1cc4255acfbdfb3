import { useTranslation } from "../i18n";
import { stageTitle } from "../labels";
import { formatAge, formatTime, useNow } from "./age";
import styles from "./Freshness.module.css";
import { Icon } from "./Icon";

export type FreshnessState = "live" | "connecting" | "reconnecting" | "offline";

/** The server's lag: its data is complete up to `since` (milliseconds). `because` and `stage` say what holds up later data. */
export interface Lag {
  since: number;
  because: string;
  stage: string;
}

interface FreshnessProps {
  state: FreshnessState;
  /** When the page last heard from the server, in milliseconds. */
  since?: number | undefined;
  /** The lag of the server itself. */
  behind?: Lag | undefined;
}

/** Shows whether the page is current, and otherwise since when it may be out of date. */
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

/** The lag, ticking between two reports of the server. aria-live is off, as screen readers would read every second. */
function BehindSince({ since }: { since: number }) {
  const { t } = useTranslation();
  const age = formatAge(useNow() - since);
  return <b aria-live="off">{t("freshness.behind", { age })}</b>;
}

function Reason({ behind: { because, stage } }: { behind: Lag }) {
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
