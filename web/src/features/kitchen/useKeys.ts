import { useEffect, useEffectEvent, useState } from "react";
import { load, save } from "./device";
import { commandFor, type Command } from "./keys";

/** Calls onCommand for single-key shortcuts. They can be turned off, as they may conflict with assistive tools. */
export function useKeys(onCommand: (command: Command) => void) {
  const [on, setOn] = useState(() => load("keys", (value) => typeof value === "boolean") ?? true);
  /** Whether the keyboard has been used, so that key hints are worth showing. */
  const [used, setUsed] = useState(false);
  const press = useEffectEvent((event: KeyboardEvent) => {
    const command = on || event.key === "?" ? commandFor(event) : undefined;
    if (!command) return;
    event.preventDefault();
    setUsed(true);
    onCommand(command);
  });
  useEffect(() => {
    document.addEventListener("keydown", press);
    return () => { document.removeEventListener("keydown", press); };
  }, []);
  const toggle = () => {
    save("keys", !on);
    setOn(!on);
  };
  return { on, used: used && on, toggle };
}
