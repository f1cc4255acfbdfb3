import { formatTime } from "./age";
import styles from "./Freshness.module.css";
import { Icon } from "./Icon";

export type FreshnessState = "live" | "connecting" | "reconnecting" | "offline";

const words: Record<FreshnessState, string> = {
  live: "Live",
  connecting: "Connecting…",
  reconnecting: "Reconnecting…",
  offline: "Offline",
};

/** Says whether what the page shows is true now, and if not, since when it may be wrong. It is always on the page. */
export function Freshness({ state, since }: { state: FreshnessState; since?: number | undefined }) {
  return (
    <p className={styles.freshness} data-state={state} role="status">
      {state === "live" ? <span className={styles.dot} /> : <Icon name={state === "offline" ? "hurry" : "clock"} />}
      <span>
        {words[state]}
        {since !== undefined && ` since ${formatTime(since)}`}
      </span>
    </p>
  );
}
