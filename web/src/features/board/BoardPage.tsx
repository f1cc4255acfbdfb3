import { Link } from "wouter";
import { useBoardQuery } from "../../api/api";
import { problemText } from "../../api/problem";
import { useTranslation } from "../../i18n";
import { formatTime, useNow } from "../../ui/age";
import { Cupcake } from "../../ui/Cupcake";
import { Freshness } from "../../ui/Freshness";
import { Notice } from "../../ui/Notice";
import { useLag } from "../../useStations";
import styles from "./BoardPage.module.css";

/** Polling interval in milliseconds. */
const refresh = 2000;

/** Data older than this, in milliseconds, has missed one or two polls. */
const staleAfter = 7000;

/** The public wall board of orders that are almost ready and ready. It shows no names or contents, only IDs. */
export default function BoardPage() {
  const { t } = useTranslation();
  const { data, error, fulfilledTimeStamp: asOf = 0 } = useBoardQuery(undefined, { pollingInterval: refresh });
  const behind = useLag(refresh);
  const now = useNow();
  const stale = data !== undefined && (error !== undefined || now - asOf > staleAfter);
  return (
    <main className={styles.board}>
      <title>{`${t("board.title")} · eCupcakes`}</title>
      <header className={styles.top}>
        <Link href="/" className={styles.brand}>
          <Cupcake flavour="Strawberry" /> eCupcakes
        </Link>
        <h1>{t("board.heading")}</h1>
        <Freshness state={stale ? "offline" : data ? "live" : "connecting"} since={stale ? asOf : undefined} behind={behind} />
        <time className={styles.clock}>{formatTime(now)}</time>
      </header>
      {error && !data && <Notice>{problemText(error)}</Notice>}
      {stale && <Notice tone="warn">{t("board.stale", { time: formatTime(asOf) })}</Notice>}
      {data && (
        <div className={styles.columns} data-stale={stale || behind !== undefined}>
          <Column name={t("board.almost")} none={t("board.noneAlmost")} ids={data.almost} look="almost" />
          <Column name={t("board.ready")} none={t("board.noneReady")} ids={data.ready} look="ready" />
        </div>
      )}
    </main>
  );
}

function Column({ name, none, ids, look }: { name: string; none: string; ids: string[]; look: "almost" | "ready" }) {
  return (
    <section className={styles.column} data-look={look} aria-labelledby={look}>
      <h2 id={look}>{name}</h2>
      {ids.length === 0 ? (
        <p>{none}</p>
      ) : (
        <ol aria-live={look === "ready" ? "polite" : undefined} aria-relevant="additions">
          {ids.map((id) => (
            <li key={id}>{id}</li>
          ))}
        </ol>
      )}
    </section>
  );
}
