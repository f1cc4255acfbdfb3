import { useState } from "react";
import { useDeadLetterQuery, useDeadLettersQuery, useResolveMutation } from "../../api/api";
import { problemText } from "../../api/problem";
import type { DeadLetter } from "../../api/types";
import { title } from "../../labels";
import { useAppSelector } from "../../store";
import { formatTime } from "../../ui/age";
import { Button } from "../../ui/Button";
import { Notice } from "../../ui/Notice";
import styles from "./Trouble.module.css";
import { words } from "./words";

const [rows, refresh] = [10, 5000];

/** The messages that the line could not use: what they are, and what to do about each. */
export function DeadLetters() {
  const { data, error, refetch } = useDeadLettersQuery({ cursor: "", limit: rows }, { pollingInterval: refresh });
  return (
    <section className={styles.trouble} aria-labelledby="deadletters">
      <h2 id="deadletters">
        {words.deadLetters}
        {data && data.count > 0 && <span className={styles.count}>{data.count}</span>}
      </h2>
      {error && !data && <Notice tone="warn">{problemText(error)}</Notice>}
      {data && <p className={styles.none}>{data.count === 0 ? words.noDeadLetters : words.deadLettersAre}</p>}
      {data && data.count > 0 && (
        <ul className={styles.list}>
          {data.deadLetters.map((letter) => (
            <Letter key={letter.id} letter={letter} done={() => void refetch()} />
          ))}
        </ul>
      )}
      {(data?.leftOut ?? data?.next) && <p className={styles.none}>{words.leftOut}</p>}
    </section>
  );
}

function Letter({ letter, done }: { letter: DeadLetter; done: () => void }) {
  const { name } = useAppSelector((state) => state.session);
  const [open, setOpen] = useState(false);
  const [asking, setAsking] = useState(false);
  const [resolve, { isLoading, error }] = useResolveMutation();
  const act = (how: "requeue" | "drop") => void resolve({ id: letter.id, how, by: name || "manager" }).then(done);
  const called = (text: string) => `${text}: ${words.letter(letter.id)}`;
  return (
    <li className={styles.item}>
      <div className={styles.words}>
        <p>
          <b>{title(letter.stage)}</b>, {formatTime(letter.time)}
        </p>
        <p className={styles.reason}>{letter.reason}</p>
        <p className={styles.small}>{words.where(letter.topic, letter.partition, letter.offset)}</p>
      </div>
      <div className={styles.actions}>
        {asking ? (
          <>
            <b>{words.dropSure}</b>
            <Button look="danger" idle={isLoading} aria-label={called(words.yes)} onClick={() => { act("drop"); }}>
              {words.yes}
            </Button>
            <Button onClick={() => { setAsking(false); }}>{words.no}</Button>
          </>
        ) : (
          <>
            <Button aria-expanded={open} aria-label={called(open ? words.hide : words.show)} onClick={() => { setOpen(!open); }}>
              {open ? words.hide : words.show}
            </Button>
            <Button idle={isLoading} aria-label={called(words.requeue)} onClick={() => { act("requeue"); }}>
              {words.requeue}
            </Button>
            <Button look="danger" aria-label={called(words.drop)} onClick={() => { setAsking(true); }}>
              {words.drop}
            </Button>
          </>
        )}
      </div>
      {open && <Value id={letter.id} />}
      {error && <Notice>{problemText(error)}</Notice>}
    </li>
  );
}

function Value({ id }: { id: string }) {
  const { data, error } = useDeadLetterQuery(id);
  if (error) return <Notice>{problemText(error)}</Notice>;
  if (!data) return null;
  const note = data.truncated ? words.truncated : data.encoding === "base64" ? words.base64 : undefined;
  return (
    <div className={styles.value}>
      {note && <p className={styles.small}>{note}</p>}
      {/* What is too long scrolls; the keyboard can do that only if it can get there. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre tabIndex={0}>{data.value || words.empty}</pre>
    </div>
  );
}
