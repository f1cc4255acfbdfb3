import type { ComponentProps } from "react";
import styles from "./Button.module.css";

interface ButtonProps extends Omit<ComponentProps<"button">, "disabled" | "className"> {
  look?: "main" | "plain" | "danger";
  size?: "desk" | "kitchen";
  /** Disables the button. Unlike with `disabled`, it keeps the keyboard focus. */
  idle?: boolean;
}

/** A button that ignores the second click of a double click: another card may be under the finger by then. */
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
