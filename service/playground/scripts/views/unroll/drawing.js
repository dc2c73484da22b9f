// The network over time as SVG: a column for each token, a row for each layer, a color for each
// weight matrix. Rolled up, it is one column with a loop.

import { makeSvg } from "../../dom.js";
import { fixed, percent, visible } from "../../format.js";

const COLUMN = 168;
const BOX_WIDTH = 112;
const BOX_HEIGHT = 74;
const ROW = 132;
const LEFT = 64;
const TOP = 92; // of the predictions over the top layer
const BOTTOM = 100; // of the words under the first layer
const LOOP = 34; // height of the loop over a rolled box
const STRIP = 16; // units that are drawn in a box
const COLORED_LAYERS = 3; // colors of the style sheet
const LONGEST_WORD = 13;

/**
 * @typedef {object} Column
 * @property {string} word that is read
 * @property {number} token its index in the text
 * @property {{hidden: number[], cell: number[] | null}[]} layers values of the strip's units, lowest layer first
 * @property {{text: string, probability: number} | undefined} next the likeliest successor
 *
 * @typedef {object} Picture
 * @property {Column[]} columns
 * @property {number} layers
 * @property {number} unit index of the named unit within a strip
 * @property {number} firstUnit of the strip
 * @property {boolean} rolled
 * @property {boolean} fromStart whether the first column is the first token of the text
 */

/** The class of a weight matrix's color. @param {"x" | "h"} kind @param {number} layer */
export function weightClass(kind, layer) {
  return `weight-${kind}${layer % COLORED_LAYERS}`;
}

/**
 * @param {Picture} picture
 * @returns {SVGElement}
 */
export function unrolledDrawing(picture) {
  const { columns, layers, rolled } = picture;
  const width = LEFT + columns.length * COLUMN + 4;
  const height = TOP + (layers - 1) * ROW + BOX_HEIGHT + BOTTOM;
  const svg = makeSvg("svg", {
    class: rolled ? "network rolled" : "network",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "group",
    "aria-label": rolled ? "The network as a cycle" : "The network, a column for each token",
  });
  columns.forEach((column, index) => {
    const group = makeSvg("g", { class: index === columns.length - 1 ? "column newest" : "column" });
    drawColumn(group, picture, column, index);
    svg.append(group);
  });
  return svg;
}

/**
 * @param {SVGElement} group
 * @param {Picture} picture
 * @param {Column} column
 * @param {number} index
 */
function drawColumn(group, picture, column, index) {
  const { layers, rolled, fromStart } = picture;
  const left = LEFT + index * COLUMN;
  const middle = left + BOX_WIDTH / 2;
  const top = (/** @type {number} */ layer) => TOP + (layers - 1 - layer) * ROW;
  const word = makeSvg("text", { class: "word", x: middle, y: top(0) + BOX_HEIGHT + 82 }, shown(column.word));
  group.append(word, makeSvg("text", { class: "letter", x: middle - 26, y: top(0) + BOX_HEIGHT + 52 }, rolled ? "xₜ" : "x"));
  for (let layer = 0; layer < layers; layer += 1) {
    const foot = top(layer) + BOX_HEIGHT;
    const from = layer === 0 ? foot + 60 : foot + ROW - BOX_HEIGHT;
    group.append(...arrow(middle, from, middle, foot, weightClass("x", layer), ["W", "x"], middle + 8, rolled ? foot + 19 : (from + foot) / 2 + 6));
    const y = top(layer) + BOX_HEIGHT / 2;
    const color = weightClass("h", layer);
    if (rolled) group.append(...loop(left, top(layer), color));
    else group.append(...arrow(left - (COLUMN - BOX_WIDTH), y, left, y, color, ["W", "h"], left - 44, y - 9));
    if (!rolled && index === 0) group.append(makeSvg("text", { class: "letter", x: 4, y: y - 12 }, fromStart ? "" : "…"));
    group.append(box(picture, column, index, layer, left, top(layer)));
  }
  if (column.next === undefined) return;
  group.append(
    ...arrow(middle, TOP, middle, TOP - 44, "weight-out", ["W", "out"], middle + 8, rolled ? TOP - 34 : TOP - 14),
    makeSvg("text", { class: "next", x: middle, y: TOP - 54 }, `${shown(column.next.text)} ${percent(column.next.probability)}`),
  );
}

/**
 * A layer after one token: its units as a strip, and the numbers of one of them.
 * @param {Picture} picture
 * @param {Column} column
 * @param {number} index of the column
 * @param {number} layer
 * @param {number} left
 * @param {number} top
 */
function box({ unit, firstUnit }, column, index, layer, left, top) {
  const values = column.layers[layer];
  const group = makeSvg("g", { class: "box", role: "button", tabindex: -1, "data-column": index, "data-layer": layer });
  group.append(makeSvg("rect", { class: "outline", x: left, y: top, width: BOX_WIDTH, height: BOX_HEIGHT, rx: 10 }));
  if (values === undefined) {
    group.setAttribute("aria-label", `Layer ${layer}`);
    group.append(makeSvg("text", { class: "value", x: left + BOX_WIDTH / 2, y: top + 44 }, "h"));
    return group;
  }
  const step = (BOX_WIDTH - 16) / STRIP;
  values.hidden.slice(0, STRIP).forEach((value, position) => {
    const rect = makeSvg("rect", { class: value < 0 ? "low" : "high", x: left + 8 + position * step, y: top + 8, width: step - 0.8, height: 14 });
    rect.style.setProperty("--strength", String(Math.min(Math.sqrt(Math.abs(value)), 1)));
    if (position === unit) rect.classList.add("named");
    group.append(rect);
  });
  const numbers = [`h ${fixed(values.hidden[unit])}`, ...(values.cell ? [`c ${fixed(values.cell[unit])}`] : [])];
  numbers.forEach((text, line) => {
    const y = numbers.length === 1 ? top + 52 : top + 43 + line * 21;
    group.append(makeSvg("text", { class: "value", x: left + BOX_WIDTH / 2, y }, `${text} `));
  });
  const name = `Layer ${layer} after ${visible(column.word)}, unit ${firstUnit + unit}: ${numbers.join(" ")}`;
  group.setAttribute("aria-label", name);
  return group;
}

/**
 * A line with a head, and the letter of its weights.
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 * @param {string} className
 * @param {[letter: string, subscript: string]} name
 * @param {number} x of the letter
 * @param {number} y
 */
function arrow(x1, y1, x2, y2, className, name, x, y) {
  const length = Math.hypot(x2 - x1, y2 - y1);
  const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
  const [tipX, tipY] = [x2 - 2 * ux, y2 - 2 * uy];
  const [baseX, baseY] = [tipX - 9 * ux, tipY - 9 * uy];
  const head = `M${tipX} ${tipY}L${baseX - 5 * uy} ${baseY + 5 * ux}L${baseX + 5 * uy} ${baseY - 5 * ux}z`;
  return [
    makeSvg("path", { class: `arrow ${className}`, d: `M${x1 + 2 * ux} ${y1 + 2 * uy}L${baseX} ${baseY}` }),
    makeSvg("path", { class: `head ${className}`, d: head }),
    weightName(className, name, x, y),
  ];
}

/** The arrow from a box to itself. @param {number} left @param {number} top @param {string} className */
function loop(left, top, className) {
  const right = left + BOX_WIDTH;
  const y = top + BOX_HEIGHT / 2;
  const path = `M${right} ${y}h14a10 10 0 0 0 10 -10v${-LOOP - 10}a10 10 0 0 0 -10 -10H${left - 14}a10 10 0 0 0 -10 10v${LOOP + 10}a10 10 0 0 0 10 10h4`;
  const head = `M${left - 2} ${y}l-9 -5v10z`;
  return [
    makeSvg("path", { class: `arrow ${className}`, d: path }),
    makeSvg("path", { class: `head ${className}`, d: head }),
    weightName(className, ["W", "h"], left - 60, y + 5),
  ];
}

/** @param {string} className @param {[string, string]} name @param {number} x @param {number} y */
function weightName(className, [letter, subscript], x, y) {
  const small = makeSvg("tspan", { dy: 4, "font-size": 11 }, subscript);
  return makeSvg("text", { class: `weight-name ${className}`, x, y }, letter, small);
}

/** @param {string} word */
function shown(word) {
  const text = visible(word);
  return text.length > LONGEST_WORD ? `${text.slice(0, LONGEST_WORD - 1)}…` : text;
}
