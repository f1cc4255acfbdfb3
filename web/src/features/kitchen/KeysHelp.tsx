import { useTranslation } from "../../i18n";
import { Button } from "../../ui/Button";
import { Icon } from "../../ui/Icon";
import styles from "./KeysHelp.module.css";
import { Sheet } from "./Sheet";

interface KeysHelpProps {
  /** Whether shortcuts are enabled. */
  on: boolean;
  /** The label of the station's main button. */
  action: string;
  onToggle: () => void;
  onClose: () => void;
}

/** Lists the shortcuts of keyboard and bump bar. */
export function KeysHelp({ on, action, onToggle, onClose }: KeysHelpProps) {
  const { t } = useTranslation();
  const keys: [string[], string][] = [
    [["1", "…", "9"], t("kitchen.keySelect")],
    [["←", "↑", "→", "↓"], t("kitchen.keyMove")],
    [["Enter", "␣"], action],
    [["T"], t("kitchen.keyTake")],
    [["R"], t("kitchen.keyReject")],
    [["U"], t("kitchen.keyUndo")],
    [["A"], t("kitchen.allDay")],
    [["C"], t("kitchen.combine")],
    [["L"], t("kitchen.recall")],
    [["S"], t("kitchen.sound")],
    [["F"], t("kitchen.fullScreen")],
    [["?"], t("kitchen.keyHelp")],
  ];
  return (
    <Sheet title={t("kitchen.keys")} onClose={onClose}>
      <p>{t("kitchen.keysAbout")}</p>
      <dl className={styles.keys} data-off={!on}>
        {keys.map(([names, meaning]) => (
          <div key={meaning} data-wide={names.length > 2}>
            <dt>{names.map((name) => (name === "…" ? "…" : <kbd key={name}>{name}</kbd>))}</dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <Button size="kitchen" aria-pressed={on} onClick={onToggle}>
        <Icon name={on ? "check" : "cross"} /> {on ? t("kitchen.keysOn") : t("kitchen.keysOff")}
      </Button>
    </Sheet>
  );
}
