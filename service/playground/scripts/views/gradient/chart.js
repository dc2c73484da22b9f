// The gradient of one loss at each word: bars over the words, factors of the steps under them.

import { makeSvg } from "../../dom.js";
import { threeDigits, visible } from "../../format.js";

const LETTER = 11; // width of a letter of the words, about
const NARROWEST = 58; // room for a factor
const LEFT = 96; // room for the names of the rows
const TOP = 30;
const BARS = 150; // height of the largest bar
const ROWS = ["word", "factor", "product"];
const ROW = 30;

/**
 * @typedef {{text: string, gradient: number, factor: number}} Token of POST /inspect/influence
 */

/**
 * The products of the factors from the last step back: the share of the gradient with respect to
 * the last state that reaches the state after each token.
 * @param {Token[]} tokens
 */
export function products(tokens) {
  const shares = tokens.map(() => 1);
  for (let index = tokens.length - 2; index >= 0; index -= 1) {
    shares[index] = shares[index + 1] * tokens[index + 1].factor;
  }
  return shares;
}

/**
 * @param {Token[]} tokens that were read before the predicted one
 * @param {string} target
 * @returns {SVGElement}
 */
export function gradientBars(tokens, target) {
  const words = [...tokens.map(({ text }) => visible(text)), visible(target)];
  const column = Math.max(NARROWEST, LETTER * Math.max(...words.map((word) => word.length)) + 14);
  const width = LEFT + column * words.length;
  const height = TOP + BARS + ROWS.length * ROW + 12;
  const largest = Math.max(...tokens.map(({ gradient }) => gradient), 1e-30);
  const shares = products(tokens);
  const svg = makeSvg("svg", {
    class: "gradient-bars",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": `Norm of the gradient of the loss of ${visible(target)} at the vector of each word`,
  });
  const rowY = (/** @type {number} */ row) => TOP + BARS + 24 + row * ROW;
  ["", "factor", "product"].forEach((name, row) => {
    svg.append(makeSvg("text", { class: "row-name", x: 4, y: rowY(row) }, name));
  });
  svg.append(
    makeSvg("text", { class: "row-name", x: 4, y: TOP + BARS - 4 }, "gradient"),
    makeSvg("line", { class: "axis-line", x1: LEFT - 6, x2: width - column, y1: TOP + BARS, y2: TOP + BARS }),
  );
  tokens.forEach(({ gradient, factor }, index) => {
    const x = LEFT + (index + 0.5) * column;
    const bar = (gradient / largest) * (BARS - 20);
    const thickness = Math.min(column - 16, 46);
    svg.append(
      makeSvg("rect", { class: "bar", x: x - thickness / 2, y: TOP + BARS - bar, width: thickness, height: bar, rx: 3 }),
      makeSvg("text", { class: "bar-value", x, y: TOP + BARS - bar - 6 }, short(gradient)),
      makeSvg("text", { class: "word", x, y: rowY(0) }, words[index]),
      makeSvg("text", { class: "factor", x, y: rowY(1) }, `×${short(factor)}`),
      makeSvg("text", { class: "product", x, y: rowY(2) }, short(shares[index])),
    );
  });
  const end = LEFT + (tokens.length + 0.5) * column;
  svg.append(makeSvg("text", { class: "word target", x: end, y: rowY(0) }, words[tokens.length]));
  return svg;
}

/** A number with two digits after the point, or as a power of ten. @param {number} value */
function short(value) {
  return value !== 0 && value < 0.01 ? threeDigits(value) : value.toFixed(2);
}
