import { useLayoutEffect, useRef, type ReactNode } from "react";
import styles from "./Dialog.module.css";

interface DialogProps {
  /** The ID of the heading element. */
  heading: string;
  /** Gives long texts more room. */
  wide?: boolean;
  /** Must unmount the dialog, which returns the focus to where it was. */
  onClose: () => void;
  children: ReactNode;
}

/**
 * A modal dialog that is open while it is mounted. It ignores the browser's `close` event: the event fires late and would
 * close a dialog that has been opened again in the meantime.
 */
export function Dialog({ heading, wide = false, onClose, children }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      className={styles.dialog}
      data-wide={wide}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      {children}
    </dialog>
  );
}
