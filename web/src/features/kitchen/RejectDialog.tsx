import { useEffect, useId, useRef, useState } from "react";
import type { Order } from "../../api/types";
import { Button } from "../../ui/Button";
import styles from "./RejectDialog.module.css";

interface RejectDialogProps {
  order: Order;
  /** What is most often the matter at this station. */
  reasons: string[];
  onReject: (reason: string) => void;
  onClose: () => void;
}

/** Asks why an order cannot go on. A reason is a must; it is what the customer will read. */
export function RejectDialog({ order, reasons, onReject, onClose }: RejectDialogProps) {
  const [reason, setReason] = useState("");
  const dialog = useRef<HTMLDialogElement>(null);
  const title = useId();
  useEffect(() => { dialog.current?.showModal(); }, []);

  return (
    <dialog ref={dialog} className={styles.dialog} aria-labelledby={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!reason.trim()) return;
          onReject(reason.trim());
          dialog.current?.close();
        }}
      >
        <h2 id={title}>
          Reject {order.quantity} × {order.flavour}?
        </h2>
        <div className={styles.reasons} role="group" aria-label="Usual reasons">
          {reasons.map((usual) => (
            <Button key={usual} aria-pressed={usual === reason} onClick={() => { setReason(usual); }}>
              {usual}
            </Button>
          ))}
        </div>
        <label className={styles.reason}>
          Reason, as the customer will read it
          <textarea value={reason} rows={2} maxLength={500} required onChange={(event) => { setReason(event.target.value); }} />
        </label>
        <div className={styles.actions}>
          <Button type="submit" look="main" size="kitchen" idle={!reason.trim()}>
            Reject order
          </Button>
          <Button size="kitchen" onClick={() => dialog.current?.close()}>
            Keep it
          </Button>
        </div>
      </form>
    </dialog>
  );
}
