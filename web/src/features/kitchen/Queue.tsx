import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { Fragment, useEffect, useImperativeHandle, useRef, useState, type CSSProperties, type ReactNode, type Ref } from "react";
import styles from "./Queue.module.css";

/** What a card needs to be part of a long list of which only a window is there. */
export interface Place {
  ref: ((element: HTMLElement | null) => void) | undefined;
  "data-index": number;
  "aria-posinset": number;
  "aria-setsize": number;
}

export interface QueueHandle {
  /** How many cards are in a row now. */
  columns: () => number;
  /** Shows a card and gives it the focus. */
  focus: (index: number) => void;
}

interface QueueProps {
  /** Each card's key. */
  ids: string[];
  card: (index: number, place: Place) => ReactNode;
  label: string;
  /** What the cards show may be out of date. */
  stale: boolean;
  ref: Ref<QueueHandle>;
}

/** About as wide as a card has to be and as high as most are, in pixels; the real height is measured. */
const [cardWidth, cardHeight] = [352, 330];

/** As many cards as are in the page before and after those in the window: a queue as it usually is can be read and searched as a whole. */
const around = 18;

/** The cards in rows, in the order of the queue. Only those near the window are in the page, however many there are. */
export function Queue({ ids, card, label, stale, ref }: QueueProps) {
  const list = useRef<HTMLUListElement>(null);
  const { columns, top, gap } = useLayout(list);
  const rows = Math.ceil(ids.length / columns);
  const virtualizer = useWindowVirtualizer({ count: rows, estimateSize: () => cardHeight, overscan: Math.ceil(around / columns), scrollMargin: top, gap });
  const shown = virtualizer.getVirtualItems();
  const [first, last] = [shown[0], shown.at(-1)];

  // A card that is far away comes into the page only after the window has moved.
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

/** How many cards fit beside each other, where the list begins on the page, and what is between rows. */
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
    // What is above the list moves it; that changes the body's height.
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    observer.observe(document.body);
    return () => { observer.disconnect(); };
  }, [list]);
  return layout;
}
