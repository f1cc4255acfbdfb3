import { useEffect, type ReactNode, type RefObject } from "react";
import styles from "./Dialog.module.css";

interface DialogProps {
  ref: RefObject<HTMLDialogElement | null>;
  /** The id of its heading. */
  heading: string;
  /** What takes a long text needs more room. */
  wide?: boolean;
  onClose: () => void;
  children: ReactNode;
}

/** Lies over the page from the moment that it is there until it is closed. */
export function Dialog({ ref, heading, wide = false, onClose, children }: DialogProps) {
  useEffect(() => { ref.current?.showModal(); }, [ref]);
  return (
    <dialog ref={ref} className={styles.dialog} data-wide={wide} aria-labelledby={heading} onClose={onClose}>
      {children}
    </dialog>
  );
}
