import { useEffect, useState, type CSSProperties } from "react";
import { useTranslation } from "../../i18n";
import { title } from "../../labels";
import { Button } from "../../ui/Button";
import { Icon } from "../../ui/Icon";
import { undoWindow, type Action } from "./actions";
import styles from "./Pending.module.css";

interface PendingProps {
  action: Action;
  /** The status of the order after the action, such as "mixed". */
  word: string;
  /** The order, for the button's accessible name. */
  what: string;
  onUndo: (batch: string) => void;
}

/** Shows an unanswered action, with UNDO while it has not been sent. */
export function Pending({ action, word, what, onUndo }: PendingProps) {
  const { t } = useTranslation();
  const left = useLeft(action.due);
  const held = action.state === "held";
  const kept = action.state === "waiting" || (held && left === 0);
  const [begun] = useState(() => Date.now() - action.made); // Virtual scrolling may remount the card while the action is held.
  return (
    <div className={styles.pending} aria-busy="true">
      <p className={styles.state} data-kept={kept}>
        <Icon name={kept ? "send" : "check"} />
        <span>
          <b>{title(word)}</b> · {held && left > 0 ? t("kitchen.sentIn", { seconds: left }) : action.state === "sending" ? t("kitchen.sending") : t("kitchen.kept")}
        </span>
      </p>
      {held && (
        <Button size="kitchen" aria-label={`${t("kitchen.undo")}: ${word}, ${what}`} onClick={() => { onUndo(action.batch); }}>
          {left > 0 && <span className={styles.bar} style={{ "--window": `${undoWindow}ms`, "--begun": `${-begun}ms` } as CSSProperties} />}
          <Icon name="undo" /> {t("kitchen.undo")}
        </Button>
      )}
    </div>
  );
}

/** Returns the whole seconds until due, counting down to 0. */
function useLeft(due: number): number {
  const [now, setNow] = useState(Date.now);
  const left = Math.max(0, Math.ceil((due - now) / 1000));
  useEffect(() => {
    if (left === 0) return;
    const timer = setTimeout(() => { setNow(Date.now()); }, Math.max(20, due - (left - 1) * 1000 - Date.now()));
    return () => { clearTimeout(timer); };
  }, [due, left, now]);
  return left;
}
