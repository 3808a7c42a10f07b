// Charts over time by uPlot, in the page's own colours. A chart is a picture: what it shows is said in words beside it.

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { axisTime } from "../lib/format";
import { shade } from "../state/theme";

/** One line of a chart. */
export interface Line {
  label: string;
  /** A custom property's name, such as `--rx`. */
  color: string;
  fill?: boolean;
  /** Drawn as bars rather than as a line. */
  bars?: boolean;
}

export interface ChartProps {
  /** What a screen reader says for the picture. */
  label: string;
  lines: Line[];
  /** Seconds since 1970, then one row of values for each line. */
  data: (number | null)[][];
  /** A value with its unit, for the axis and the reading. */
  unit: (value: number) => string;
  height?: number;
  /** Charts of one group share their cursor. */
  group?: string;
  /** Seconds that the chart spans at least. */
  spanS?: number;
  /** What the axis reaches up to at least, so that silence does not look like noise. */
  least?: number;
}

/** The colour that a custom property stands for now; a canvas cannot read custom properties. */
function colorOf(element: HTMLElement, property: string, alpha = 1): string {
  const before = element.style.color;
  element.style.color = `var(${property})`;
  const color = getComputedStyle(element).color;
  element.style.color = before;
  return alpha === 1 ? color : color.replace(/^rgb\((.*)\)$/, (_, parts: string) => `rgba(${parts}, ${alpha})`);
}

function options(props: ChartProps, box: HTMLElement, reading: (u: uPlot) => void): uPlot.Options {
  const ink = colorOf(box, "--ink-2");
  const grid = { stroke: colorOf(box, "--line"), width: 1 };
  const ticks = { show: false };
  const font = `12px ${getComputedStyle(box).fontFamily}`;
  const axis = { stroke: ink, grid, ticks, font, labelFont: font };
  const bars = uPlot.paths.bars?.({ size: [0.7, 20] });
  return {
    width: Math.max(120, box.clientWidth),
    height: props.height ?? 180,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { setScale: false }, ...(props.group ? { sync: { key: props.group } } : {}) },
    scales: {
      x: { time: true, range: (_u, min, max) => (props.spanS && max - min < props.spanS ? [max - props.spanS, max] : [min, max]) },
      y: { range: (_u, _min, max) => [0, Math.max(props.least ?? 1, (max ?? 0) * 1.12)] },
    },
    axes: [
      { ...axis, size: 26, space: 70, values: (_u, splits, _axis, _space, step) => splits.map((at) => axisTime(at, step)) },
      { ...axis, size: 74, space: 36, values: (_u, splits) => splits.map((value) => (value === 0 ? "0" : props.unit(value))) },
    ],
    series: [
      {},
      ...props.lines.map((line): uPlot.Series => {
        const stroke = colorOf(box, line.color);
        const series: uPlot.Series = { label: line.label, stroke, width: line.bars ? 0 : 1.6, points: { show: false } };
        if (line.fill) series.fill = colorOf(box, line.color, 0.12);
        if (line.bars) series.fill = stroke;
        if (line.bars && bars) series.paths = bars;
        return series;
      }),
    ],
    hooks: { setCursor: [reading] },
  };
}

/** A chart that follows its data, its box and the theme. */
export function Chart(props: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const keys = useRef<HTMLSpanElement[]>([]);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const theme = shade.value;

  const reading = (u: uPlot) => {
    const { lines, unit } = latest.current;
    const at = u.cursor.idx ?? null;
    lines.forEach((_, place) => {
      const element = keys.current[place];
      if (!element) return;
      const row = u.data[place + 1];
      const value = row?.[at ?? row.length - 1];
      element.textContent = value === null || value === undefined ? "–" : unit(value);
    });
  };

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(options(latest.current, element, reading), latest.current.data as uPlot.AlignedData, element);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: Math.max(120, element.clientWidth), height: props.height ?? 180 }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [theme, props.height, props.spanS, props.lines.map((line) => line.label).join()]);

  useEffect(() => {
    plot.current?.setData(props.data as uPlot.AlignedData);
    if (plot.current) reading(plot.current);
  }, [props.data, theme]);

  return (
    <figure class="chart">
      <figcaption class="chart-keys">
        {props.lines.map((line, place) => (
          <span key={line.label} class="chart-key">
            <i class={`swatch ${line.color.slice(2)}`} aria-hidden="true" />
            {line.label} <span class="strong" ref={(element) => void (element && (keys.current[place] = element))} />
          </span>
        ))}
      </figcaption>
      <div ref={box} class="chart-box" role="img" aria-label={props.label} />
    </figure>
  );
}
