// The states of the small network as a line or a path in the plane, and the gradient over k.

import { makeSvg } from "../../dom.js";
import { powerOfTen } from "../../format.js";
import { lineChart } from "../../line_chart.js";

const SMALLEST_POWER = -12;
const LARGEST_POWER = 12;
const PLANE = 400; // pixels
const MARGIN = 34;
const HEIGHT = 230;
const LOW_HEIGHT = 190; // on a narrow screen
const NARROW = 480;

/** @typedef {import("../../recurrence/cells.js").Step} Step */

/**
 * The value of one unit after each step.
 * @param {Step[]} steps
 * @param {number} width in pixels
 */
export function stateChart(steps, width) {
  const hidden = steps.map(({ state }) => state.hidden[0]);
  const cell = steps.flatMap(({ state }) => state.cell);
  const largest = Math.max(1, ...[...hidden, ...cell].map(Math.abs).filter(Number.isFinite));
  const limit = largest <= 1 ? 1 : Math.ceil(largest);
  const series = [{ label: "h", color: 0, values: hidden }];
  if (cell.length > 0) series.push({ label: "c", color: 1, values: cell });
  return lineChart(series, {
    width,
    height: width < NARROW ? LOW_HEIGHT : HEIGHT,
    minimum: -limit,
    maximum: limit,
    ticks: [-limit, -limit / 2, 0, limit / 2, limit].map((value) => ({ value, label: String(value).replace("-", "−") })),
    description: "The state after each step",
    words: positions(steps.length, 1),
  });
}

/**
 * Two units as a path in the plane.
 * @param {Step[]} steps
 */
export function statePlane(steps) {
  const paths = [steps.map(({ state }) => state.hidden)];
  if (steps[0].state.cell.length > 0) paths.push(steps.map(({ state }) => state.cell));
  const largest = Math.max(1, ...paths.flat(2).map(Math.abs).filter(Number.isFinite));
  const place = (/** @type {number} */ value) => MARGIN + ((value / largest + 1) / 2) * (PLANE - 2 * MARGIN);
  const svg = makeSvg("svg", {
    class: "plane chart",
    viewBox: `0 0 ${PLANE} ${PLANE}`,
    role: "img",
    "aria-label": "The two units of the state as a path in the plane",
  });
  const [low, middle, high] = [place(-largest), place(0), place(largest)];
  svg.append(
    makeSvg("rect", { class: "frame", x: low, y: low, width: high - low, height: high - low }),
    makeSvg("line", { class: "grid", x1: low, x2: high, y1: middle, y2: middle }),
    makeSvg("line", { class: "grid", x1: middle, x2: middle, y1: low, y2: high }),
    makeSvg("text", { class: "axis", x: middle, y: high + 20, "text-anchor": "middle" }, "unit 1"),
    makeSvg("text", { class: "axis", x: middle, y: low - 10, "text-anchor": "middle" }, "unit 2"),
    makeSvg("text", { class: "axis", x: high, y: high + 20, "text-anchor": "end" }, largest.toPrecision(2)),
    makeSvg("text", { class: "axis", x: low, y: high + 20 }, `−${largest.toPrecision(2)}`),
  );
  paths.forEach((path, color) => {
    const points = path.map(([x, y]) => `${place(x).toFixed(1)},${place(-y).toFixed(1)}`);
    svg.append(makeSvg("polyline", { class: `line color-${color}`, points: points.join(" ") }));
    path.forEach(([x, y], index) => {
      const radius = index === path.length - 1 ? 7 : 3.5;
      svg.append(makeSvg("circle", { class: `dot color-${color}`, cx: place(x), cy: place(-y), r: radius }));
    });
    const [x, y] = path[path.length - 1];
    const name = color === 0 ? "h" : "c";
    svg.append(makeSvg("text", { class: `end color-${color}`, x: place(x) + 12, y: place(-y) + 5 }, name));
  });
  return svg;
}

/**
 * The share of the gradient that reaches k steps back, on a logarithmic axis.
 * @param {{hidden: number[], cell: number[]}} gradient
 * @param {number} width in pixels
 */
export function gradientChart(gradient, width) {
  const logarithm = (/** @type {number} */ value) => Math.min(Math.max(Math.log10(value), SMALLEST_POWER), LARGEST_POWER);
  const series = [{ label: "hidden", color: 0, values: gradient.hidden.map(logarithm) }];
  if (gradient.cell.length > 0) series.push({ label: "cell", color: 1, values: gradient.cell.map(logarithm) });
  const values = series.flatMap((line) => line.values);
  const minimum = Math.floor(Math.min(...values, -1));
  const maximum = Math.ceil(Math.max(...values, 1));
  const spacing = Math.ceil((maximum - minimum) / 7);
  const ticks = [];
  for (let power = minimum; power <= maximum; power += 1) {
    if (power % spacing === 0) ticks.push({ value: power, label: powerOfTen(power) });
  }
  return lineChart(series, {
    width,
    height: width < NARROW ? LOW_HEIGHT : HEIGHT,
    minimum,
    maximum,
    ticks,
    description: "The share of the gradient that reaches the state k steps back",
    words: positions(gradient.hidden.length, 0),
  });
}

/** Every fifth number under a chart. @param {number} count @param {number} first */
function positions(count, first) {
  return Array.from({ length: count }, (_, index) => ({ text: (index + first) % 5 === 0 ? String(index + first) : "" }));
}
