import { useTranslation } from "../../i18n";
import { flavourTitle, shortId } from "../../labels";
import { useAppDispatch, useAppSelector } from "../../store";
import { useNow } from "../../ui/age";
import { Button } from "../../ui/Button";
import { Icon } from "../../ui/Icon";
import { Notice } from "../../ui/Notice";
import { actionsAtMost, type Refusal } from "./actions";
import styles from "./Dock.module.css";
import { dismissed, retried } from "./outboxSlice";

/** Shows refusals and the number of unsent actions at the bottom of the screen, independent of scrolling. */
export function Dock() {
  const { t } = useTranslation();
  const { actions, refusals, full } = useAppSelector((state) => state.outbox);
  const now = useNow();
  const late = actions.filter(({ state, due }) => state === "waiting" || (state === "held" && due < now - 1000)).length;
  if (refusals.length === 0 && late === 0 && !full) return null;
  return (
    <div className={styles.dock}>
      {refusals.map((refusal) => <Refused key={refusal.action.key} refusal={refusal} />)}
      {full > 0 && <Notice>{t("kitchen.full", { count: actionsAtMost })}</Notice>}
      {late > 0 && (
        <p className={styles.waiting} role="status">
          <Icon name="send" /> {t("kitchen.unsent", { count: late })}
        </p>
      )}
    </div>
  );
}

function Refused({ refusal: { action, why, again } }: { refusal: Refusal }) {
  const { t } = useTranslation();
  const dispatch = useAppDispatch();
  const { order, work, key } = action;
  const what = { quantity: order.quantity, flavour: flavourTitle(order.flavour), id: shortId(order.id) };
  return (
    <Notice>
      <div className={styles.refused}>
        <p>
          <b>{t(work.kind === "release" ? "kitchen.notGivenBack" : work.kind === "claim" ? "kitchen.notTaken" : work.kind === "reject" ? "kitchen.notRejected" : "kitchen.notDone", what)}</b> {why}
        </p>
        {again && <Button onClick={() => dispatch(retried(key))}>{t("kitchen.again")}</Button>}
        <Button onClick={() => dispatch(dismissed(key))}>{t("kitchen.dismiss")}</Button>
      </div>
    </Notice>
  );
}
