import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { Fragment, useEffect, useImperativeHandle, useRef, useState, type CSSProperties, type ReactNode, type Ref } from "react";
import styles from "./Queue.module.css";

/** Attributes that a card needs as an item of the virtual list. */
export interface VirtualItemProps {
  ref: ((element: HTMLElement | null) => void) | undefined;
  "data-index": number;
  "aria-posinset": number;
  "aria-setsize": number;
}

export interface QueueHandle {
  /** Returns the current number of cards per row. */
  columns: () => number;
  /** Scrolls to a card and focuses it. */
  focus: (index: number) => void;
}

interface QueueProps {
  /** The React key of each card. */
  ids: string[];
  card: (index: number, itemProps: VirtualItemProps) => ReactNode;
  label: string;
  /** Whether the cards may be out of date. */
  stale: boolean;
  ref: Ref<QueueHandle>;
}

/** Minimum width and estimated height of a card, in pixels; the actual height is measured. */
const [cardWidth, cardHeight] = [352, 330];

/** How many cards are rendered before and after the visible ones, so that a queue of usual length can be searched as a whole. */
const cardsAround = 18;

/** Lays the cards out in rows, in queue order. Only cards near the viewport are rendered. */
export function Queue({ ids, card, label, stale, ref }: QueueProps) {
  const list = useRef<HTMLUListElement>(null);
  const { columns, top, gap } = useLayout(list);
  const rows = Math.ceil(ids.length / columns);
  const virtualizer = useWindowVirtualizer({ count: rows, estimateSize: () => cardHeight, overscan: Math.ceil(cardsAround / columns), scrollMargin: top, gap });
  const shown = virtualizer.getVirtualItems();
  const [first, last] = [shown[0], shown.at(-1)];

  // A distant card is rendered only after scrolling, so the focus is set in a later effect.
  const [wanted, setWanted] = useState<{ id: string | undefined }>();
  useImperativeHandle(ref, () => ({
    columns: () => columns,
    focus: (index) => {
      const row = Math.floor(index / columns);
      if (!shown.some((is) => is.index === row)) virtualizer.scrollToIndex(row, { align: "center" });
      setWanted({ id: ids[index] });
    },
  }));
  const reached = useRef(wanted);
  useEffect(() => {
    if (!wanted || reached.current === wanted) return;
    const index = ids.indexOf(wanted.id ?? "");
    const element = list.current?.querySelector<HTMLElement>(`[aria-posinset="${index + 1}"]`);
    if (index >= 0 && !element) return;
    reached.current = wanted;
    element?.focus();
  });

  const cards = shown.flatMap(({ index: row }) => ids.slice(row * columns, (row + 1) * columns).map((id, column) => ({ id, row, column })));
  return (
    <ul
      ref={list}
      className={styles.cards}
      aria-label={label}
      data-stale={stale}
      style={{ "--columns": columns, paddingTop: first ? first.start - top : 0, paddingBottom: last ? virtualizer.getTotalSize() - (last.end - top) : 0 } as CSSProperties}
    >
      {cards.map(({ id, row, column }) => (
        <Fragment key={id}>
          {card(row * columns + column, {
            ref: column === 0 ? virtualizer.measureElement : undefined,
            "data-index": row,
            "aria-posinset": row * columns + column + 1,
            "aria-setsize": ids.length,
          })}
        </Fragment>
      ))}
    </ul>
  );
}

/** Measures the cards per row, the top of the list on the page, and the gap between rows. */
function useLayout(list: { current: HTMLElement | null }) {
  const [layout, setLayout] = useState({ columns: 1, top: 0, gap: 0 });
  useEffect(() => {
    const element = list.current;
    if (!element || !("ResizeObserver" in window)) return;
    const measure = () => {
      const { width, top } = element.getBoundingClientRect();
      const gap = parseFloat(getComputedStyle(element).rowGap) || 0;
      const now = { columns: Math.max(1, Math.floor((width + gap) / (cardWidth + gap))), top: Math.round(top + window.scrollY), gap };
      setLayout((was) => (was.columns === now.columns && was.top === now.top && was.gap === now.gap ? was : now));
    };
    // Elements above the list move it; the body's height changes with them.
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    observer.observe(document.body);
    return () => { observer.disconnect(); };
  }, [list]);
  return layout;
}
