import { useEffect, useEffectEvent, useState } from "react";
import { read, write } from "./device";
import { commandFor, type Command } from "./keys";

/** Hands on what keys ask for, if they are turned on; as single keys can be in the way of other tools, they can be off. */
export function useKeys(obey: (command: Command) => void) {
  const [on, setOn] = useState(() => read("keys", (value) => typeof value === "boolean") ?? true);
  /** Somebody uses the keyboard, so it is worth showing which key is for what. */
  const [used, setUsed] = useState(false);
  const press = useEffectEvent((event: KeyboardEvent) => {
    const command = on || event.key === "?" ? commandFor(event) : undefined;
    if (!command) return;
    event.preventDefault();
    setUsed(true);
    obey(command);
  });
  useEffect(() => {
    document.addEventListener("keydown", press);
    return () => { document.removeEventListener("keydown", press); };
  }, []);
  const toggle = () => {
    write("keys", !on);
    setOn(!on);
  };
  return { on, used: used && on, toggle };
}
