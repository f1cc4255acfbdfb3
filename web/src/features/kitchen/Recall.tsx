import { isNotFound, problemText } from "../../api/problem";
import { useOrderQuery } from "../../api/api";
import type { Order, Station } from "../../api/types";
import { useTranslation } from "../../i18n";
import { doneWord, flavourTitle, shortId, sizeTitle, stageTitle, whereItIs } from "../../labels";
import { useAppSelector } from "../../store";
import { formatTime } from "../../ui/age";
import { Button } from "../../ui/Button";
import { Icon } from "../../ui/Icon";
import { Notice } from "../../ui/Notice";
import { useStations } from "../../useStations";
import type { Action, Done } from "./actions";
import { selectPending } from "./outboxSlice";
import { Pending } from "./Pending";
import styles from "./Recall.module.css";
import { Sheet } from "./Sheet";

interface RecallProps {
  station: Station;
  onReject: (order: Order) => void;
  onUndo: (batch: string) => void;
  onClose: () => void;
}

/** How many orders are listed. */
const atMost = 10;

/** Polling interval for the current status of these orders, in milliseconds. */
const lookAgain = 5000;

/**
 * Lists the orders that this screen finished last, with their current status. Orders never move backwards, so none can
 * return to a station; but an order can be rejected at its current station and remade.
 */
export function Recall({ station, onReject, onUndo, onClose }: RecallProps) {
  const { t } = useTranslation();
  const done = useAppSelector((state) => state.outbox.done).filter(({ stage }) => stage === station.stage).slice(-atMost);
  const pending = useAppSelector(selectPending);
  return (
    <Sheet title={t("kitchen.recallTitle")} onClose={onClose}>
      {done.length === 0 ? <p>{t("kitchen.recallNone")}</p> : <p>{t("kitchen.recallAbout")}</p>}
      <ol className={styles.list}>
        {done.toReversed().map((is) => (
          <Entry key={is.key} done={is} action={pending[is.order.id]} word={is.work.kind === "reject" ? t("kitchen.rejected") : doneWord(station.done)} onReject={onReject} onUndo={onUndo} />
        ))}
      </ol>
    </Sheet>
  );
}

function Entry({ done: { order, by, at, work }, action, word, onReject, onUndo }: { done: Done; action: Action | undefined; word: string } & Pick<RecallProps, "onReject" | "onUndo">) {
  const { t } = useTranslation();
  const { stations = [] } = useStations();
  const { data: now, error } = useOrderQuery(order.id, { pollingInterval: lookAgain, refetchOnMountOrArgChange: true });
  const what = `${order.quantity} × ${flavourTitle(order.flavour)}, ${sizeTitle(order.size)}`;
  const there = now?.stage && (now.state === "waiting" || now.state === "moving") ? now : undefined;
  return (
    <li>
      <p className={styles.what}>
        <b>{what}</b> <span>#{shortId(order.id)}</span>
      </p>
      <p className={styles.was} data-rejected={work.kind === "reject"}>
        <Icon name={work.kind === "reject" ? "cross" : "check"} />
        {t("kitchen.recallWas", { done: word, name: by, time: formatTime(at) })}
        {work.kind === "reject" && `: ${work.reason}`}
      </p>
      {error && !isNotFound(error) && <Notice tone="warn">{problemText(error)}</Notice>}
      {error && isNotFound(error) && <p>{t("kitchen.recallGone")}</p>}
      {now && !error && (
        <p>
          {t("kitchen.recallNow")} <b>{now.state === "rejected" && now.reason ? `${t("kitchen.rejected")}: ${now.reason}` : whereItIs(now, stations)}</b>
        </p>
      )}
      {action && (action.work.kind === "reject" || action.work.kind === "advance") ? (
        <Pending action={action} word={t("kitchen.rejected")} what={what} onUndo={onUndo} />
      ) : (
        there?.stage && (
          <Button look="danger" size="kitchen" aria-label={`${t("kitchen.rejectThere", { stage: stageTitle(there.stage) })}: ${what}, ${shortId(order.id)}`} onClick={() => { onReject(there); }}>
            {t("kitchen.rejectThere", { stage: stageTitle(there.stage) })}
          </Button>
        )
      )}
    </li>
  );
}
