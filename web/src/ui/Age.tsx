import { useTranslation } from "../i18n";
import { ageLevel, formatAge, useNow, type AgeLevel, type AgeLimits } from "./age";
import styles from "./Age.module.css";
import { Icon, type IconName } from "./Icon";

const icons: Record<AgeLevel, IconName> = { fresh: "clock", soon: "hurry", late: "bell" };

/** A ticking age of an order at a station, shown by colour, icon and words. */
export function Age({ since, at }: { since: string; at: AgeLimits }) {
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
