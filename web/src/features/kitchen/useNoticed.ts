import { useEffect, useState } from "react";
import type { Order } from "../../api/types";
import { useNow, type Patience } from "../../ui/age";
import { newFor, notice } from "./alerts";
import { play } from "./sound";
import type { Link } from "./stationSlice";

/** Notices what is new and what is late, once the queue is known, and says it with a sound. */
export function useNoticed(queue: Order[], link: Link["state"], { warnSeconds, lateSeconds }: Patience): { fresh: ReadonlySet<string>; late: number } {
  const now = useNow();
  const [last, setLast] = useState<{ queue: Order[]; now: number; link: Link["state"]; noticed?: ReturnType<typeof notice> }>();
  if (last?.queue !== queue || last.now !== now || last.link !== link) {
    // Before the first snapshot is complete, or that of another station, nothing of it is news.
    const known = link === "live" || (link !== "connecting" && last?.noticed !== undefined);
    setLast({ queue, now, link, ...(known && { noticed: notice(last?.noticed, queue, now, { warnSeconds, lateSeconds }) }) });
  }
  const noticed = last?.noticed;
  useEffect(() => {
    // If both happen at once, the new order can wait for its turn.
    if (noticed?.alerts.late) play("late");
    else if (noticed?.alerts.fresh) play("fresh");
  }, [noticed]);
  const fresh = new Set([...(noticed?.seen ?? [])].filter(([, at]) => now - at < newFor).map(([id]) => id));
  return { fresh, late: noticed?.late.size ?? 0 };
}
