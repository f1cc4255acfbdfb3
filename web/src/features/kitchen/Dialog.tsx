import { useLayoutEffect, useRef, type ReactNode } from "react";
import styles from "./Dialog.module.css";

interface DialogProps {
  /** The id of its heading. */
  heading: string;
  /** What takes a long text needs more room. */
  wide?: boolean;
  /** Has to take the dialog from the page, which gives the focus back to where it was. */
  onClose: () => void;
  children: ReactNode;
}

/**
 * Lies over the page for as long as it is there. The browser's event close plays no part: it comes late, and who has
 * opened the dialog again by then would see it close.
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
