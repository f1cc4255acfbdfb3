import { useEffect, useState } from "react";
import type { Order } from "../../api/types";
import { useNow, type AgeLimits } from "../../ui/age";
import { newFor, detectAlerts } from "./alerts";
import { play } from "./sound";
import type { Link } from "./stationSlice";

/** Returns the new orders and the number of late ones, and plays a sound for each change once the queue is known. */
export function useAlerts(queue: Order[], link: Link["state"], { warnSeconds, lateSeconds }: AgeLimits): { fresh: ReadonlySet<string>; late: number } {
  const now = useNow();
  const [last, setLast] = useState<{ queue: Order[]; now: number; link: Link["state"]; check?: ReturnType<typeof detectAlerts> }>();
  if (last?.queue !== queue || last.now !== now || last.link !== link) {
    // Orders of the first snapshot, also after a change of station, are not new.
    const known = link === "live" || (link !== "connecting" && last?.check !== undefined);
    setLast({ queue, now, link, ...(known && { check: detectAlerts(last?.check, queue, now, { warnSeconds, lateSeconds }) }) });
  }
  const check = last?.check;
  useEffect(() => {
    // If both happen at once, only the late alert plays.
    if (check?.alerts.late) play("late");
    else if (check?.alerts.fresh) play("fresh");
  }, [check]);
  const fresh = new Set([...(check?.seen ?? [])].filter(([, at]) => now - at < newFor).map(([id]) => id));
  return { fresh, late: check?.late.size ?? 0 };
}
