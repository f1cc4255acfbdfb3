import { useState } from "react";
import { useDeadLetterQuery, useDeadLettersQuery, useResolveMutation } from "../../api/api";
import { problemText } from "../../api/problem";
import type { DeadLetter } from "../../api/types";
import { useTranslation } from "../../i18n";
import { stageTitle } from "../../labels";
import { useAppSelector } from "../../store";
import { formatTime } from "../../ui/age";
import { Button } from "../../ui/Button";
import { Notice } from "../../ui/Notice";
import styles from "./Trouble.module.css";

const [rows, refresh] = [10, 5000];

/** Lists dead letters with actions to requeue or discard each. */
export function DeadLetters() {
  const { t } = useTranslation();
  const { data, error, refetch } = useDeadLettersQuery({ cursor: "", limit: rows }, { pollingInterval: refresh });
  return (
    <section className={styles.trouble} aria-labelledby="deadletters">
      <h2 id="deadletters">
        {t("letters.heading")}
        {data && data.count > 0 && <span className={styles.count}>{data.count}</span>}
      </h2>
      {error && !data && <Notice tone="warn">{problemText(error)}</Notice>}
      {data && <p className={styles.none}>{data.count === 0 ? t("letters.none") : t("letters.are")}</p>}
      {data && data.count > 0 && (
        <ul className={styles.list}>
          {data.deadLetters.map((letter) => (
            <DeadLetterItem key={letter.id} letter={letter} done={() => void refetch()} />
          ))}
        </ul>
      )}
      {(data?.leftOut ?? data?.next) && <p className={styles.none}>{t("letters.more")}</p>}
    </section>
  );
}

function DeadLetterItem({ letter, done }: { letter: DeadLetter; done: () => void }) {
  const { t } = useTranslation();
  const { name } = useAppSelector((state) => state.session);
  const [open, setOpen] = useState(false);
  const [asking, setAsking] = useState(false);
  const [resolve, { isLoading, error }] = useResolveMutation();
  const act = (how: "requeue" | "drop") => void resolve({ id: letter.id, how, by: name || "manager" }).then(done);
  const called = (text: string) => t("letters.called", { what: text, id: letter.id });
  return (
    <li className={styles.item}>
      <div className={styles.words}>
        <p>
          <b>{stageTitle(letter.stage)}</b>, {formatTime(letter.time)}
        </p>
        <p className={styles.reason}>{letter.reason}</p>
        <p className={styles.small}>{t("letters.where", { topic: letter.topic, partition: letter.partition, offset: letter.offset })}</p>
      </div>
      <div className={styles.actions}>
        {asking ? (
          <>
            <b>{t("letters.sure")}</b>
            <Button look="danger" idle={isLoading} aria-label={called(t("letters.yes"))} onClick={() => { act("drop"); }}>
              {t("letters.yes")}
            </Button>
            <Button onClick={() => { setAsking(false); }}>{t("letters.no")}</Button>
          </>
        ) : (
          <>
            <Button aria-expanded={open} aria-label={called(open ? t("letters.hide") : t("letters.show"))} onClick={() => { setOpen(!open); }}>
              {open ? t("letters.hide") : t("letters.show")}
            </Button>
            <Button idle={isLoading} aria-label={called(t("letters.requeue"))} onClick={() => { act("requeue"); }}>
              {t("letters.requeue")}
            </Button>
            <Button look="danger" aria-label={called(t("letters.drop"))} onClick={() => { setAsking(true); }}>
              {t("letters.drop")}
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
  const { t } = useTranslation();
  const { data, error } = useDeadLetterQuery(id);
  if (error) return <Notice>{problemText(error)}</Notice>;
  if (!data) return null;
  const note = data.truncated ? t("letters.truncated") : data.encoding === "base64" ? t("letters.base64") : undefined;
  return (
    <div className={styles.value}>
      {note && <p className={styles.small}>{note}</p>}
      {/* Long values scroll. The element needs a tabIndex to be scrollable by keyboard. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre tabIndex={0}>{data.value || t("letters.empty")}</pre>
    </div>
  );
}
