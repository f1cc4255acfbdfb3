import { ageLevel, formatAge, useNow, type AgeLevel } from "./age";
import styles from "./Age.module.css";
import { Icon, type IconName } from "./Icon";

const words: Record<AgeLevel, { icon: IconName; text: string }> = {
  fresh: { icon: "clock", text: "fresh" },
  soon: { icon: "hurry", text: "hurry" },
  late: { icon: "bell", text: "late" },
};

/** How long something has been waiting, ticking: by colour, by icon and in words. */
export function Age({ since }: { since: string }) {
  const age = useNow() - Date.parse(since);
  const level = ageLevel(age);
  const { icon, text } = words[level];
  return (
    <span className={styles.age} data-level={level}>
      <Icon name={icon} />
      <span>
        {text} <b>{formatAge(age)}</b>
      </span>
    </span>
  );
}
