// Words as points in the plane.

import { makeSvg } from "../../dom.js";

const HEIGHT = 460;
const MARGIN = 56;
const LINE = 17; // least distance of two labels
const SHIFTS = [0, 8, -8, 15, -15]; // of a label from its dot
const LETTER = 8.5; // width of a letter of the labels, about

/**
 * @typedef {{word: string, x: number, y: number}} Point
 */

/**
 * @param {Point[]} points
 * @param {Set<string>} asked words that were asked for
 * @param {number} width in pixels
 * @returns {SVGElement}
 */
export function wordMap(points, asked, width) {
  const place = scale(points.map(({ x }) => x), MARGIN, width - MARGIN);
  const placeUp = scale(points.map(({ y }) => -y), MARGIN / 2, HEIGHT - MARGIN / 2);
  const svg = makeSvg("svg", {
    class: "word-map",
    viewBox: `0 0 ${width} ${HEIGHT}`,
    width,
    height: HEIGHT,
    role: "img",
    "aria-label": `Map of ${points.length} words; the table of nearest words has the same words`,
  });
  const dots = points.map(({ word, x, y }) => ({ word, x: place(x), y: placeUp(-y), asked: asked.has(word) }));
  const labels = labelled(dots, width);
  for (const { word, x, y, asked: isAsked } of dots) {
    const dot = makeSvg("circle", { class: isAsked ? "asked" : "neighbor", cx: x, cy: y, r: isAsked ? 6 : 4 });
    dot.append(makeSvg("title", {}, word));
    svg.append(dot);
  }
  for (const { dot, left, y } of labels) {
    svg.append(makeSvg("text", { class: dot.asked ? "asked" : "neighbor", x: left, y: y + 5 }, dot.word));
  }
  return svg;
}

/** @param {number[]} values @param {number} low @param {number} high */
function scale(values, low, high) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return (/** @type {number} */ value) => (most === least ? (low + high) / 2 : low + ((value - least) / (most - least)) * (high - low));
}

/**
 * @typedef {{word: string, x: number, y: number, asked: boolean}} Dot
 * @typedef {{dot: Dot, left: number, y: number}} Label
 */

/**
 * A free place beside each dot, first for the words that were asked for. A word without one has no
 * label.
 * @param {Dot[]} dots
 * @param {number} width in pixels
 */
function labelled(dots, width) {
  /** @type {Label[]} */
  const labels = [];
  for (const dot of [...dots].sort((one, other) => Number(other.asked) - Number(one.asked))) {
    const length = LETTER * dot.word.length;
    const left = dot.x + 9 + length > width - 4 ? dot.x - 9 - length : dot.x + 9;
    const free = SHIFTS.map((shift) => dot.y + shift).find((y) => !labels.some((label) => overlaps(label, left, length, y)));
    if (free !== undefined) labels.push({ dot, left, y: free });
  }
  return labels;
}

/** @param {Label} label @param {number} left @param {number} length @param {number} y */
function overlaps({ dot, left: otherLeft, y: otherY }, left, length, y) {
  const beside = left < otherLeft + LETTER * dot.word.length && otherLeft < left + length;
  return beside && Math.abs(y - otherY) < LINE;
}
