// Rows of a word, a bar and a percentage.

import { make } from "./dom.js";
import { percent, visible } from "./format.js";

/**
 * @typedef {{label: string, probability: number, current?: boolean}} Bar
 */

/**
 * A list of bars. Lengths are relative to the largest probability unless `scale` is given.
 * @param {Bar[]} bars
 * @param {number} [scale]
 */
export function barList(bars, scale = Math.max(...bars.map((bar) => bar.probability), 1e-9)) {
  return make("ol", { className: "bars" }, ...bars.map((bar) => make("li", {}, ...barRow(bar, scale))));
}

/**
 * The parts of one row.
 * @param {Bar} bar
 * @param {number} scale
 */
export function barRow(bar, scale) {
  const track = make("span", { className: "track", "aria-hidden": "true" });
  track.style.setProperty("--share", String(bar.probability / scale));
  const label = make("span", { className: "label" }, visible(bar.label));
  if (bar.current) label.classList.add("current");
  return [label, track, make("span", { className: "percent" }, percent(bar.probability))];
}
