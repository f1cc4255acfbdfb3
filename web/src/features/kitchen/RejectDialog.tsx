import { useId, useState } from "react";
import type { Order } from "../../api/types";
import { useTranslation } from "../../i18n";
import { flavourTitle } from "../../labels";
import { Button } from "../../ui/Button";
import { Dialog } from "./Dialog";
import styles from "./RejectDialog.module.css";

interface RejectDialogProps {
  order: Order;
  /** Common reasons at this station. */
  reasons: string[];
  onReject: (reason: string) => void;
  onClose: () => void;
}

/** Asks for the reason of a rejection. It is required, as the customer sees it. */
export function RejectDialog({ order, reasons, onReject, onClose }: RejectDialogProps) {
  const { t } = useTranslation();
  const [reason, setReason] = useState("");
  const title = useId();

  return (
    <Dialog heading={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!reason.trim()) return;
          onReject(reason.trim());
          onClose();
        }}
      >
        <h2 id={title}>
          {t("kitchen.rejectHeading", { quantity: order.quantity, flavour: flavourTitle(order.flavour) })}
        </h2>
        <div className={styles.reasons} role="group" aria-label={t("kitchen.reasons")}>
          {reasons.map((usual) => (
            <Button key={usual} aria-pressed={usual === reason} onClick={() => { setReason(usual); }}>
              {usual}
            </Button>
          ))}
        </div>
        <label className={styles.reason}>
          {t("kitchen.reason")}
          <textarea value={reason} rows={2} maxLength={500} required onChange={(event) => { setReason(event.target.value); }} />
        </label>
        <div className={styles.actions}>
          <Button type="submit" look="main" size="kitchen" idle={!reason.trim()}>
            {t("kitchen.rejectOrder")}
          </Button>
          <Button size="kitchen" onClick={onClose}>
            {t("kitchen.keep")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
