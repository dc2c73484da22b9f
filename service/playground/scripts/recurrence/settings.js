// What a person sets of the small network, and its form in a link.

import { LETTERS } from "./cells.js";

/**
 * @typedef {import("./cells.js").Cell} Cell
 * @typedef {import("./cells.js").Weights} Weights
 *
 * @typedef {object} Settings
 * @property {Cell} cell
 * @property {number} size hidden size, 1 or 2
 * @property {Weights} weights
 * @property {number} keep f of a gated cell, 0 (Elman) to 1 (additive)
 * @property {boolean} tanhSlope
 * @property {string} inputs a name of `SEQUENCES`
 * @property {number} steps
 */

export const MOST_STEPS = 60;

/** Inputs x_t for t from 0. @type {Record<string, (t: number) => number>} */
export const SEQUENCES = {
  pulse: (t) => (t === 0 ? 1 : 0),
  zero: () => 0,
  constant: () => 1,
  alternating: (t) => (t % 2 === 0 ? 1 : -1),
  random: (t) => 2 * fraction(Math.sin(12.9898 * (t + 1)) * 43758.5453) - 1,
};

const GATE_BIAS = { z: 2, r: 2, f: 3, i: 0, o: 1 };

/**
 * @param {Cell} cell
 * @param {number} size
 * @returns {Settings}
 */
export function defaultSettings(cell, size) {
  const weights = Object.fromEntries(LETTERS[cell].map((letter) => [letter, defaultLinear(letter, size)]));
  return { cell, size, weights, keep: 0, tanhSlope: true, inputs: "pulse", steps: 30 };
}

/** @param {string} letter @param {number} size */
function defaultLinear(letter, size) {
  const bias = GATE_BIAS[/** @type {keyof typeof GATE_BIAS} */ (letter)] ?? 0;
  const W_h = letter === "g" ? recurrentWeights(size) : Array.from({ length: size }, () => Array(size).fill(0));
  const W_x = Array.from({ length: size }, (_, unit) => (letter === "g" && unit === 0 ? 1 : 0));
  return { W_h, W_x, b: Array(size).fill(bias) };
}

/** A factor for one unit, a turn for two. @param {number} size */
function recurrentWeights(size) {
  return size === 1 ? [[0.8]] : [[0.9, -0.4], [0.4, 0.9]];
}

/** @param {Settings} settings */
export function inputsOf({ inputs, steps }) {
  return Array.from({ length: steps }, (_, t) => SEQUENCES[inputs](t));
}

/** All weights in a fixed order: those of g first, W_h by rows, W_x, b. @param {Settings} settings */
export function numbersOf({ cell, weights }) {
  return LETTERS[cell].flatMap((letter) => {
    const { W_h, W_x, b } = weights[letter];
    return [...W_h.flat(), ...W_x, ...b];
  });
}

/** The parameters of a link. @param {Settings} settings */
export function linkOf(settings) {
  const { cell, size, keep, tanhSlope, inputs, steps } = settings;
  return { cell, size, keep, slope: tanhSlope ? 1 : 0, inputs, steps, weights: numbersOf(settings).join(",") };
}

/**
 * The settings of a link; what is missing or impossible is the default.
 * @param {URLSearchParams} parameters
 * @returns {Settings}
 */
export function settingsOf(parameters) {
  const cell = /** @type {Cell} */ (oneOf(parameters.get("cell"), Object.keys(LETTERS), "gated"));
  const size = parameters.get("size") === "2" ? 2 : 1;
  const settings = defaultSettings(cell, size);
  settings.keep = bounded(parameters.get("keep"), 0, 1, 0);
  settings.tanhSlope = parameters.get("slope") !== "0";
  settings.inputs = oneOf(parameters.get("inputs"), Object.keys(SEQUENCES), "pulse");
  settings.steps = Math.round(bounded(parameters.get("steps"), 2, MOST_STEPS, settings.steps));
  const numbers = (parameters.get("weights") ?? "").split(",").map(Number);
  if (numbers.length === numbersOf(settings).length && numbers.every(Number.isFinite)) fill(settings, numbers);
  return settings;
}

/** @param {Settings} settings @param {number[]} numbers in the order of `numbersOf` */
function fill({ cell, size, weights }, numbers) {
  const rest = [...numbers];
  for (const letter of LETTERS[cell]) {
    const W_h = Array.from({ length: size }, () => rest.splice(0, size));
    weights[letter] = { W_h, W_x: rest.splice(0, size), b: rest.splice(0, size) };
  }
}

/** @param {string | null} value @param {string[]} names @param {string} otherwise */
function oneOf(value, names, otherwise) {
  return value !== null && names.includes(value) ? value : otherwise;
}

/** @param {string | null} text @param {number} low @param {number} high @param {number} otherwise */
function bounded(text, low, high, otherwise) {
  const value = Number(text);
  return text === null || !Number.isFinite(value) ? otherwise : Math.min(Math.max(value, low), high);
}

/** @param {number} value */
function fraction(value) {
  return value - Math.floor(value);
}
