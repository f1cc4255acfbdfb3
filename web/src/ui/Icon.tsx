import type { ReactNode } from "react";
import styles from "./Icon.module.css";

const drawings = {
  clock: <path d="M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z" />,
  hurry: <path d="M12 9v4.5M12 17v.2M10.3 4.2 2.8 17.3A2 2 0 0 0 4.5 20.3h15a2 2 0 0 0 1.7-3L13.7 4.2a2 2 0 0 0-3.4 0z" />,
  bell: <path d="M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.5a2.2 2.2 0 0 0 4 0M2.5 8A8 8 0 0 1 5 3.5M21.5 8A8 8 0 0 0 19 3.5" />,
  check: <path d="m5 12.5 4.5 4.5L19.5 7" />,
  cross: <path d="M6 6l12 12M18 6 6 18" />,
  person: <path d="M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5a7.5 7.5 0 0 1 15 0" />,
  note: <path d="M6 3h9l4 4v14H6zM14.5 3v4.5H19M9 12h7M9 16h5" />,
  sun: <path d="M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4" />,
  moon: <path d="M20 14.5A8.5 8.5 0 1 1 9.5 4a6.8 6.8 0 0 0 10.5 10.5z" />,
  menu: <path d="M4 7h16M4 12h16M4 17h16" />,
  chart: <path d="M4 20h16M7 20v-7M12 20V5M17 20v-10" />,
  basket: <path d="M4 10h16l-1.6 9.5H5.6zM8 10l3-6M16 10l-3-6M9.5 13.5v3M14.5 13.5v3" />,
  mixing: <path d="M3 11h18a9 9 0 0 1-6 8.5V21H9v-1.5A9 9 0 0 1 3 11zM13 8l5-5.5M9.5 8C8 6 9 3.5 11.5 3c1 2.2.3 4-2 5z" />,
  baking: <path d="M4 3.5h16v17H4zM4 8.5h16M7.5 12h9v5h-9zM7.5 6h.2M11 6h.2M16.5 6h.2" />,
  decorating: <path d="M7.5 8h9L13 17.5h-2zM9 8C8 5 9.5 3 12 3s4 2 3 5M12 17.5V19M7 21.5c1.5-2 3 0 5-1.5s3.5 1 5 0" />,
  packaging: <path d="m12 3 8.5 4.5v9L12 21l-8.5-4.5v-9zM3.5 7.5 12 12l8.5-4.5M12 12v9M8 5.2l8.5 4.5" />,
  shipping: <path d="M2.5 6H14v10.5H2.5zM14 9.5h4l3.5 3.5v3.5H14zM7 16a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM17.5 16a2 2 0 1 0 0 4 2 2 0 0 0 0-4z" />,
  undo: <path d="M8.5 5 4 9.5 8.5 14M4 9.5h10a5.5 5.5 0 0 1 0 11h-3" />,
  history: <path d="M3.5 12a8.5 8.5 0 1 0 2.5-6L3.5 8.5M3.5 3.5v5h5M12 7.5V12l3 2" />,
  sum: <path d="M18 7V4H6l6.5 8L6 20h12v-3" />,
  stack: <path d="m12 3.5 8.5 4.2-8.5 4.2-8.5-4.2zM3.5 12l8.5 4.2 8.5-4.2M3.5 16.3l8.5 4.2 8.5-4.2" />,
  sound: <path d="M4 9.5v5h3.5l5 4v-13l-5 4zM16 9a4.2 4.2 0 0 1 0 6M18.5 6.5a8 8 0 0 1 0 11" />,
  mute: <path d="M4 9.5v5h3.5l5 4v-13l-5 4zM16.5 9.5l5 5M21.5 9.5l-5 5" />,
  expand: <path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5" />,
  keyboard: <path d="M2.5 6h19v12h-19zM6 10h.2M10 10h.2M14 10h.2M18 10h.2M7.5 14h9" />,
  send: <path d="M12 19V6M6.5 11 12 5.5l5.5 5.5" />,
  stage: <path d="m12 3.5 2.6 5.4 5.9.8-4.3 4.1 1 5.9L12 16.9l-5.2 2.8 1-5.9L3.5 9.7l5.9-.8z" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof drawings;

/** A line drawing in the size of the surrounding text. It only repeats the text, so it is hidden from screen readers. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg className={styles.icon} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {drawings[name]}
    </svg>
  );
}

/** The icon of a stage; stages without their own icon get a star. */
export function StageIcon({ stage }: { stage: string }) {
  return <Icon name={stage in drawings ? (stage as IconName) : "stage"} />;
}
