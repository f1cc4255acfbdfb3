import { useTranslation } from "../i18n";
import { ageLevel, formatAge, useNow, type AgeLevel, type Patience } from "./age";
import styles from "./Age.module.css";
import { Icon, type IconName } from "./Icon";

const icons: Record<AgeLevel, IconName> = { fresh: "clock", soon: "hurry", late: "bell" };

/** How long something has been waiting at a station, ticking: by colour, by icon and in words. */
export function Age({ since, at }: { since: string; at: Patience }) {
  const { t } = useTranslation();
  const age = useNow() - Date.parse(since);
  const level = ageLevel(age, at);
  return (
    <span className={styles.age} data-level={level}>
      <Icon name={icons[level]} />
      <span>
        {t(`age.${level}`)} <b>{formatAge(age)}</b>
      </span>
    </span>
  );
}
