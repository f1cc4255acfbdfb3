import { useEffect, useEffectEvent, useLayoutEffect, useRef, useState } from "react";
import type { QueueHandle } from "./Queue";

/** How long DONE is ignored after the selection has moved automatically, in milliseconds. */
const moveGuard = 700;

/**
 * Tracks the card that key commands act on: the one that has or last had the focus. When it leaves, the first card is
 * selected. The card gets the focus, not its button: a second key press would otherwise finish an order nobody has seen.
 */
export function useSelection(ids: string[]) {
  const list = useRef<QueueHandle>(null);
  const frame = useRef<HTMLDivElement>(null);
  const [selected, setSelected] = useState<string>();
  if (selected !== undefined && !ids.includes(selected)) setSelected(ids[0]);

  const chosen = useRef<string>(undefined);
  const movedAt = useRef(-moveGuard);
  const hadFocus = useRef(false);
  const enter = useEffectEvent((event: FocusEvent) => {
    hadFocus.current = true;
    const id = ids[positionOf(event.target) - 1];
    if (id === undefined) return;
    chosen.current = id;
    setSelected(id);
  });
  useEffect(() => {
    const element = frame.current;
    const leave = ({ relatedTarget }: FocusEvent) => { if (relatedTarget) hadFocus.current = false; };
    const touch = ({ target }: PointerEvent) => { if (target instanceof Node && !element?.contains(target)) hadFocus.current = false; };
    element?.addEventListener("focusin", enter);
    element?.addEventListener("focusout", leave);
    document.addEventListener("pointerdown", touch);
    return () => {
      element?.removeEventListener("focusin", enter);
      element?.removeEventListener("focusout", leave);
      document.removeEventListener("pointerdown", touch);
    };
  }, []);

  useLayoutEffect(() => {
    if (selected === chosen.current) return;
    chosen.current = selected;
    movedAt.current = performance.now();
  }, [selected]);

  // The focused element is gone: its button was replaced, or its card left the queue.
  useLayoutEffect(() => {
    if (!hadFocus.current || document.activeElement !== document.body || selected === undefined) return;
    frame.current?.querySelector<HTMLElement>(`li[aria-posinset="${ids.indexOf(selected) + 1}"]`)?.focus({ preventScroll: true });
  });

  return {
    list,
    frame,
    selected,
    /** Reports whether the selection moved automatically within the last moveGuard milliseconds. */
    movedAutomatically: () => performance.now() - movedAt.current < moveGuard,
    select: (index: number) => {
      const id = ids[index];
      if (id === undefined) return;
      chosen.current = id;
      setSelected(id);
      list.current?.focus(index);
    },
  };
}

/** Returns the position, from 1, of the card that contains the target; NaN if none does. */
function positionOf(target: EventTarget | null): number {
  const card = target instanceof Element ? target.closest("li[aria-posinset]") : null;
  return Number(card?.getAttribute("aria-posinset") ?? NaN);
}
