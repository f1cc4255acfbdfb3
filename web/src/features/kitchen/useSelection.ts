import { useEffect, useEffectEvent, useLayoutEffect, useRef, useState } from "react";
import type { QueueHandle } from "./Queue";

/** For how long after the selection moved by itself a key is not meant for where it went, in milliseconds. */
const startled = 700;

/**
 * The card that keys are for: the one with the focus in it, or that had it last. When it leaves, the first card follows, as a
 * whole: not its button, for somebody who hits the key twice would move on an order that they have not seen.
 */
export function useSelection(ids: string[]) {
  const list = useRef<QueueHandle>(null);
  const frame = useRef<HTMLDivElement>(null);
  const [selected, setSelected] = useState<string>();
  if (selected !== undefined && !ids.includes(selected)) setSelected(ids[0]);

  const chosen = useRef<string>(undefined);
  const movedAt = useRef(-startled);
  const hadFocus = useRef(false);
  const enter = useEffectEvent((event: FocusEvent) => {
    hadFocus.current = true;
    const id = ids[placeOf(event.target) - 1];
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

  // What had the focus is not there any more: a button whose work is done, or a card that left.
  useLayoutEffect(() => {
    if (!hadFocus.current || document.activeElement !== document.body || selected === undefined) return;
    frame.current?.querySelector<HTMLElement>(`li[aria-posinset="${ids.indexOf(selected) + 1}"]`)?.focus({ preventScroll: true });
  });

  return {
    list,
    frame,
    selected,
    /** Whether the selection has only just moved, and nobody asked it to. */
    byItself: () => performance.now() - movedAt.current < startled,
    select: (index: number) => {
      const id = ids[index];
      if (id === undefined) return;
      chosen.current = id;
      setSelected(id);
      list.current?.focus(index);
    },
  };
}

/** The place of the card in which something is; NaN if it is in none. */
function placeOf(target: EventTarget | null): number {
  const card = target instanceof Element ? target.closest("li[aria-posinset]") : null;
  return Number(card?.getAttribute("aria-posinset") ?? NaN);
}
