import type { ReactNode } from "react";
import { useTranslation } from "../../i18n";
import { Button } from "../../ui/Button";
import { Icon, type IconName } from "../../ui/Icon";
import { canGoFullScreen, toggleFullScreen } from "./screen";
import { setSoundEnabled, useSound } from "./sound";
import styles from "./Toolbar.module.css";

interface ToolbarProps {
  allDay: boolean;
  combined: boolean;
  onAllDay: () => void;
  onCombine: () => void;
  onRecall: () => void;
  onHelp: () => void;
}

/** Buttons that affect the whole screen. */
export function Toolbar({ allDay, combined, onAllDay, onCombine, onRecall, onHelp }: ToolbarProps) {
  const { t } = useTranslation();
  return (
    <div className={styles.bar} role="group" aria-label={t("kitchen.tools")}>
      <Tool icon="sum" pressed={allDay} onClick={onAllDay}>{t("kitchen.allDay")}</Tool>
      <Tool icon="stack" pressed={combined} onClick={onCombine}>{t("kitchen.combine")}</Tool>
      <Tool icon="history" onClick={onRecall}>{t("kitchen.recall")}</Tool>
      <SoundTool />
      {canGoFullScreen() && <Tool icon="expand" onClick={toggleFullScreen}>{t("kitchen.fullScreen")}</Tool>}
      <Tool icon="keyboard" onClick={onHelp}>{t("kitchen.keys")}</Tool>
    </div>
  );
}

function SoundTool() {
  const { t } = useTranslation();
  const sound = useSound();
  if (sound === "blocked") {
    return (
      <span className={styles.blocked}>
        <Tool icon="mute" onClick={() => { setSoundEnabled(true); }}>{t("kitchen.soundBlocked")}</Tool>
      </span>
    );
  }
  return <Tool icon={sound === "on" ? "sound" : "mute"} pressed={sound === "on"} onClick={() => { setSoundEnabled(sound === "off"); }}>{t("kitchen.sound")}</Tool>;
}

function Tool({ icon, pressed, onClick, children }: { icon: IconName; pressed?: boolean; onClick: () => void; children: ReactNode }) {
  return (
    <Button aria-pressed={pressed} onClick={onClick}>
      <Icon name={icon} />
      <span className={styles.word}>{children}</span>
    </Button>
  );
}
