import type { ComponentProps } from "react";
import styles from "./Button.module.css";

interface ButtonProps extends Omit<ComponentProps<"button">, "disabled" | "className"> {
  look?: "main" | "plain" | "danger";
  size?: "desk" | "kitchen";
  /** Tells why nothing can be pressed now. Unlike a disabled button, an idle one keeps the keyboard's focus. */
  idle?: boolean;
}

/** A button. The second click of a double click is dropped: by then, another card may be under the finger. */
export function Button({ look = "plain", size = "desk", idle = false, type = "button", onClick, ...rest }: ButtonProps) {
  return (
    <button
      {...rest}
      type={type}
      className={styles.button}
      data-look={look}
      data-size={size}
      aria-disabled={idle || undefined}
      onClick={(event) => {
        if (idle || event.detail > 1) event.preventDefault();
        else onClick?.(event);
      }}
    />
  );
}
