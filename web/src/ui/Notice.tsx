import type { ReactNode } from "react";
import { Icon } from "./Icon";
import styles from "./Notice.module.css";

/** An error or warning that screen readers announce at once. */
export function Notice({ children, tone = "bad" }: { children: ReactNode; tone?: "bad" | "warn" }) {
  return (
    <div className={styles.notice} data-tone={tone} role="alert">
      <Icon name="hurry" />
      <div className={styles.text}>{children}</div>
    </div>
  );
}
