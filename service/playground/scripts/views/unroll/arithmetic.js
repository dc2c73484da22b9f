// The formulas of a cell with the numbers of one unit put in, from POST /inspect/step.

import { make } from "../../dom.js";
import { formula } from "../../formula.js";
import { weightClass } from "./drawing.js";

const DIGITS = 3;

/**
 * @typedef {object} Term
 * @property {string} letter
 * @property {number} read
 * @property {number} recalled
 * @property {number} read_bias
 * @property {number} recalled_bias
 * @property {number} value
 *
 * @typedef {object} UnitStep
 * @property {"elman" | "gru" | "lstm"} cell_kind
 * @property {string} text
 * @property {Term[]} terms
 * @property {number} hidden_before
 * @property {number} [cell_before]
 * @property {number} hidden
 * @property {number} [cell]
 */

/**
 * A list with a formula in each line: letters, numbers, result.
 * @param {UnitStep} step
 * @param {number} layer
 */
export function arithmetic(step, layer) {
  const terms = Object.fromEntries(step.terms.map((term) => [term.letter, term]));
  const lines = step.terms.map((term) => termLine(term, step.cell_kind, layer, terms.r?.value));
  const before = step.hidden_before;
  if (step.cell_kind === "gru") {
    const { z, g } = terms;
    lines.push(line("h′", ["z h + (1 − z) g"], [`${number(z.value)} · ${factor(before)} + ${number(1 - z.value)} · ${factor(g.value)}`], step.hidden));
  } else if (step.cell_kind === "lstm") {
    const { i, f, g, o } = terms;
    const sum = `${number(f.value)} · ${factor(step.cell_before ?? 0)} + ${number(i.value)} · ${factor(g.value)}`;
    lines.push(line("c′", ["f c + i g"], [sum], step.cell ?? 0));
    lines.push(line("h′", ["o tanh(c′)"], [`${number(o.value)} · tanh(${number(step.cell ?? 0)})`], step.hidden));
  }
  return make("ol", { className: "arithmetic" }, ...lines);
}

/**
 * @param {Term} term
 * @param {UnitStep["cell_kind"]} kind
 * @param {number} layer
 * @param {number | undefined} reset of a GRU
 */
function termLine({ letter, read, recalled, read_bias, recalled_bias, value }, kind, layer, reset) {
  const outer = letter === "g" || letter === "h" ? "tanh" : "σ";
  const index = kind === "elman" ? "" : `,${letter}`;
  const x = (/** @type {string} */ text) => make("span", { className: weightClass("x", layer) }, ...formula(text));
  const h = (/** @type {string} */ text) => make("span", { className: weightClass("h", layer) }, ...formula(text));
  const bias = kind === "elman" ? "b" : `b_{${letter}}`;
  const name = kind === "elman" ? "h′" : letter;
  if (kind === "gru" && letter === "g") {
    return line(
      name,
      [`${outer}(`, x(`W_{x,g} x`), " + ", ...formula("b_{g}"), " + r (", h("W_{h,g} h"), " + ", ...formula("b_{h,g}"), "))"],
      [`${outer}(`, x(number(read)), ` ${added(read_bias)} + ${number(reset ?? 1)} · (`, h(number(recalled)), ` ${added(recalled_bias)}))`],
      value,
    );
  }
  return line(
    name,
    [`${outer}(`, x(`W_{x${index}} x`), " + ", h(`W_{h${index}} h`), " + ", ...formula(bias), ")"],
    [`${outer}(`, x(number(read)), " ", h(added(recalled)), ` ${added(read_bias + recalled_bias)})`],
    value,
  );
}

/**
 * @param {string} name
 * @param {(Node | string)[]} letters
 * @param {(Node | string)[]} numbers
 * @param {number} result
 */
function line(name, letters, numbers, result) {
  return make(
    "li",
    {},
    make("span", { className: "letters" }, make("b", {}, name), " = ", ...letters),
    make("span", { className: "put-in" }, "= ", ...numbers),
    make("span", { className: "result" }, "= ", make("b", {}, number(result))),
  );
}

/** @param {number} value */
function number(value) {
  return value.toFixed(DIGITS).replace("-", "−");
}

/** A number after a sign for multiplication. @param {number} value */
function factor(value) {
  return value < 0 ? `(${number(value)})` : number(value);
}

/** A number that is added: its sign, a space, its digits. @param {number} value */
function added(value) {
  return `${value < 0 ? "−" : "+"} ${Math.abs(value).toFixed(DIGITS)}`;
}
