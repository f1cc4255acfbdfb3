import type { LineStats } from "../../api/types";
import { title } from "../../labels";
import { Icon } from "../../ui/Icon";
import styles from "./Bottleneck.module.css";
import { words } from "./words";

/** Names the station that holds up the line, and says why. */
export function Bottleneck({ stats: { bottleneck, stages } }: { stats: LineStats }) {
  const worst = stages.find(({ stage }) => stage === bottleneck);
  return (
    <div className={styles.bottleneck} data-some={worst !== undefined} role="status">
      <Icon name={worst ? "hurry" : "check"} />
      <p>
        <b>{worst ? words.bottleneck(title(worst.stage)) : words.noBottleneck}</b>
        <span>{worst ? words.why(worst) : words.noBottleneckWhy}</span>
      </p>
    </div>
  );
}
