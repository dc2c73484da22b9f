// Lines over the tokens of a text, as SVG.

import { makeSvg } from "./dom.js";

/**
 * @typedef {object} Series
 * @property {string} label written at the end of the line
 * @property {number} color index of a color of the style sheet, from 0
 * @property {number[]} values one for each position
 *
 * @typedef {object} ChartOptions
 * @property {number} width in pixels
 * @property {number} height
 * @property {number} minimum of the vertical axis
 * @property {number} maximum
 * @property {{value: number, label: string}[]} ticks
 * @property {string} description for screen readers
 * @property {{text: string, className?: string}[]} [words] one under each position
 */

const LEFT = 56;
const LETTER = 9.5; // width of a letter of the labels, about
const NARROW = 480;
const SHORTEST_LABEL = 12; // letters that a label keeps on a narrow screen
const TOP = 14;
const LABEL_HEIGHT = 17;

/**
 * @param {Series[]} series
 * @param {ChartOptions} options
 * @returns {SVGElement}
 */
export function lineChart(series, options) {
  const { width, height, minimum, maximum, ticks, words } = options;
  const names = series.map(({ label }) => (width < NARROW ? shortened(label) : label));
  const bottom = words ? 36 : 10;
  const positions = Math.max(...series.map(({ values }) => values.length));
  const right = 24 + LETTER * Math.max(...names.map((name) => name.length), 5);
  const step = (width - LEFT - right) / Math.max(positions - 1, 1);
  const x = (/** @type {number} */ index) => LEFT + index * step;
  const y = (/** @type {number} */ value) => {
    const share = (Math.min(Math.max(value, minimum), maximum) - minimum) / (maximum - minimum);
    return TOP + (1 - share) * (height - TOP - bottom);
  };
  const svg = makeSvg("svg", {
    class: "chart",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": options.description,
  });
  for (const { value, label } of ticks) {
    svg.append(
      makeSvg("line", { class: "grid", x1: LEFT, x2: width - right + 8, y1: y(value), y2: y(value) }),
      makeSvg("text", { class: "tick", x: LEFT - 10, y: y(value) + 4 }, label),
    );
  }
  words?.forEach(({ text, className = "" }, index) => {
    const attributes = { class: `word ${className}`, x: x(index), y: height - 10 };
    svg.append(makeSvg("text", attributes, text));
  });
  const labels = spread(series.map(({ values }) => y(values[values.length - 1])));
  series.forEach(({ color, values }, number) => {
    const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`);
    svg.append(makeSvg("polyline", { class: `line color-${color}`, points: points.join(" ") }));
    if (positions <= 40) {
      for (const [index, value] of values.entries()) {
        svg.append(makeSvg("circle", { class: `dot color-${color}`, cx: x(index), cy: y(value), r: 3.5 }));
      }
    }
    const attributes = { class: `end color-${color}`, x: x(values.length - 1) + 12, y: labels[number] + 4 };
    svg.append(makeSvg("text", attributes, names[number]));
  });
  return svg;
}

/** @param {string} label */
function shortened(label) {
  return label.length > SHORTEST_LABEL ? `${label.slice(0, SHORTEST_LABEL - 1)}…` : label;
}

/**
 * Marks a position of a chart with a vertical line; null removes it.
 * @param {Element} svg made by `lineChart`
 * @param {number | null} index
 */
export function markPosition(svg, index) {
  svg.querySelector(".position")?.remove();
  const point = index === null ? undefined : svg.querySelector("polyline")?.getAttribute("points")?.split(" ")[index];
  if (point === undefined) return;
  const x = point.split(",")[0];
  svg.prepend(makeSvg("line", { class: "position", x1: x, x2: x, y1: 0, y2: svg.getAttribute("height") ?? 0 }));
}

/**
 * Moves labels apart that would overlap.
 * @param {number[]} heights in pixels
 */
function spread(heights) {
  const order = heights.map((_, index) => index).sort((a, b) => heights[a] - heights[b]);
  const placed = [...heights];
  for (let i = 1; i < order.length; i += 1) {
    placed[order[i]] = Math.max(placed[order[i]], placed[order[i - 1]] + LABEL_HEIGHT);
  }
  return placed;
}
