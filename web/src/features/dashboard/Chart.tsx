import { useEffect, useEffectEvent, useRef, useState } from "react";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { formatTime } from "../../ui/age";
import styles from "./History.module.css";

export interface Curve {
  name: string;
  values: number[];
}

interface ChartProps {
  /** The time of each value, in seconds since 1970. */
  times: number[];
  curves: Curve[];
  label: string;
  /** Called with the index of the value under the pointer, or undefined. */
  onPoint: (index: number | undefined) => void;
}

/** Dash patterns, so that curves can be distinguished without colour. */
const dashes = [[], [10, 5], [2, 4], [12, 4, 2, 4], [5, 3]];
const height = 300;

/** A line chart. uPlot draws on a canvas, which screen readers cannot read; the table next to it has the same figures. */
export default function Chart({ times, curves, label, onPoint }: ChartProps) {
  const container = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>(null);
  const theme = useTheme();
  const names = curves.map(({ name }) => name).join();
  const data = (): UPlot.AlignedData => [times, ...curves.map(({ values }) => values)];
  const point = useEffectEvent(onPoint);
  const draw = useEffectEvent((element: HTMLDivElement) => {
    const style = getComputedStyle(element);
    const colour = (name: string) => resolve(element, `var(--${name})`);
    const axis = { stroke: colour("ink-soft"), font: `600 13px ${style.fontFamily}`, grid: { stroke: colour("card-edge"), width: 1 }, ticks: { show: false } };
    return new UPlot(
      {
        width: element.clientWidth,
        height,
        legend: { show: false },
        cursor: { y: false, points: { size: 9 } },
        scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.08, 4)] } },
        axes: [
          { ...axis, grid: { show: false }, values: (_, at) => at.map((seconds) => formatTime(seconds * 1000)), space: 80 },
          { ...axis, size: 48, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000] },
        ],
        series: [
          {},
          ...curves.map(({ name }, i) => ({
            label: name,
            stroke: colour(`curve-${(i % 5) + 1}`),
            width: 2.5,
            dash: dashes[i % dashes.length] ?? [],
            points: { show: false },
          })),
        ],
        hooks: { setCursor: [({ cursor: { idx } }) => { point(idx ?? undefined); }] },
      },
      data(),
      element,
    );
  });

  useEffect(() => {
    const element = container.current;
    if (!element) return;
    const drawn = draw(element);
    plot.current = drawn;
    const observer = new ResizeObserver(() => { drawn.setSize({ width: element.clientWidth, height }); });
    observer.observe(element);
    return () => {
      observer.disconnect();
      drawn.destroy();
      plot.current = null;
    };
  }, [names, theme]);

  useEffect(() => {
    plot.current?.setData(data());
  });

  return <div ref={container} className={styles.chart} role="img" aria-label={label} />;
}

/** Resolves a CSS colour to its computed value; a canvas supports neither variables nor light-dark(). */
function resolve(element: HTMLElement, value: string): string {
  const probe = document.createElement("span");
  probe.style.color = value;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Returns a value that changes with the theme. */
function useTheme(): string {
  const now = () => `${document.documentElement.dataset.theme ?? ""} ${matchMedia("(prefers-color-scheme: dark)").matches}`;
  const [theme, setTheme] = useState(now);
  useEffect(() => {
    const look = () => { setTheme(now()); };
    const system = matchMedia("(prefers-color-scheme: dark)");
    const observer = new MutationObserver(look);
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    system.addEventListener("change", look);
    return () => {
      observer.disconnect();
      system.removeEventListener("change", look);
    };
  }, []);
  return theme;
}
