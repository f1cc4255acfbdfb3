import { useMemo, useState } from "react";
import type { Order, Station } from "../../api/types";
import { actionable, claimant, type Action, type Done } from "./actions";
import { load, save } from "./device";
import { moveSelection, type Command } from "./keys";
import { toggleFullScreen } from "./screen";
import { toggleSound } from "./sound";
import { kinds } from "./totals";
import { useKeys } from "./useKeys";
import type { useOutbox } from "./useOutbox";
import { useSelection } from "./useSelection";

interface CommandContext {
  station: Station;
  /** The worker's name, in which orders are claimed and finished. */
  by: string;
  queue: Order[];
  pending: Partial<Record<string, Action>>;
  done: Partial<Record<string, Done>>;
  outbox: ReturnType<typeof useOutbox>;
}

/** Runs the commands of the keyboard and the toolbar, and keeps the state that they change: view, selection and open dialogs. */
export function useCommands({ station, by, queue, pending, done, outbox }: CommandContext) {
  const [combined, setCombined] = useStoredFlag("combined");
  const [allDay, setAllDay] = useStoredFlag("allDay");
  const [sheet, setSheet] = useState<"recall" | "keys">();
  const [rejecting, setRejecting] = useState<Order>();
  const cards = useMemo(() => (combined ? kinds(queue) : undefined), [combined, queue]);
  const ids = useMemo(() => cards?.map(({ flavour, size }) => `${flavour} ${size}`) ?? queue.map(({ id }) => id), [cards, queue]);
  const { list, frame, selected, movedAutomatically, select } = useSelection(ids);

  const run = (command: Command) => {
    const at = ids.indexOf(selected ?? "");
    // The orders on the selected card that this worker can act on.
    const here = actionable(cards ? (cards[at]?.orders ?? []) : queue.slice(at, at + 1), by, pending, done);
    switch (command.do) {
      case "select":
        if (command.index < ids.length) select(command.index);
        break;
      case "move":
        select(moveSelection(at, command.by, ids.length, list.current?.columns() ?? 1));
        break;
      case "done":
        if (at >= 0 && here.length > 0 && !movedAutomatically()) outbox.act(here, { kind: "advance", verb: station.verb, done: station.done });
        break;
      case "reject":
        if (at >= 0) setRejecting(here[0]);
        break;
      case "take":
        if (at >= 0 && here[0]) outbox.act(here.slice(0, 1), { kind: claimant(here[0], pending[here[0].id]) ? "release" : "claim" });
        break;
      case "undo":
        outbox.undoLast();
        break;
      case "allDay":
        setAllDay(!allDay);
        break;
      case "combine":
        setCombined(!combined);
        break;
      case "recall":
        setSheet("recall");
        break;
      case "sound":
        toggleSound();
        break;
      case "fullScreen":
        toggleFullScreen();
        break;
      case "help":
        setSheet("keys");
        break;
    }
  };
  const keys = useKeys(run);
  return { run, keys, combined, allDay, sheet, setSheet, rejecting, setRejecting, cards, ids, list, frame, selected };
}

/** A boolean that is stored on this device. */
function useStoredFlag(key: string): [boolean, (value: boolean) => void] {
  const [value, setValue] = useState(() => load(key, (stored) => typeof stored === "boolean") ?? false);
  return [value, (next) => {
    save(key, next);
    setValue(next);
  }];
}
