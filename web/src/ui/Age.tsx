import { useTranslation } from "react-i18next";
import { ageLevel, formatAge, useNow, type AgeLevel, type Thresholds } from "./age";
import styles from "./Age.module.css";
import { Icon, type IconName } from "./Icon";

const icons: Record<AgeLevel, IconName> = { fresh: "clock", soon: "hurry", late: "bell" };

/** How long something has been waiting, ticking: by colour, by icon and in words. */
export function Age({ since, station }: { since: string; station: Thresholds }) {
  const { t } = useTranslation();
  const age = useNow() - Date.parse(since);
  const level = ageLevel(age, station);
  return (
    <span className={styles.age} data-level={level}>
      <Icon name={icons[level]} />
      <span>
        {t(`age.${level}`)} <b>{formatAge(age)}</b>
      </span>
    </span>
  );
}
