// One step of a recurrent cell with its Jacobian, for a hidden size of 1 or 2 and one input.
//
// gated  h' = f h + g,                g = tanh(W_h h + W_x x + b): Elman for f = 0, additive for f = 1
// gru    h' = z h + (1 - z) g,        g = tanh(W_x x + b + r (W_h h))
// lstm   c' = f c + i g, h' = o tanh(c')
//
// f, i, o, r and z of gru and lstm are sigmoid(W_h h + W_x x + b) with weights of their own.

import { add, apply, diagonal, identity, norm, multiply, scaleRows } from "./matrix.js";

/**
 * @typedef {"gated" | "gru" | "lstm"} Cell
 * @typedef {import("./matrix.js").Matrix} Matrix
 * @typedef {{W_h: Matrix, W_x: number[], b: number[]}} Linear a row for each unit
 * @typedef {Record<string, Linear>} Weights by the letter of `LETTERS`
 * @typedef {{hidden: number[], cell: number[]}} State `cell` is empty but for an LSTM
 *
 * @typedef {object} Step
 * @property {State} state after the step
 * @property {Record<string, number[]>} gates by letter, g among them
 * @property {Matrix} jacobian of the new state by the old one: hidden first, then cell
 *
 * @typedef {object} Network
 * @property {Cell} cell
 * @property {Weights} weights
 * @property {number} keep f of a gated cell
 * @property {boolean} tanhSlope whether the derivatives of tanh count; they are 1 otherwise
 */

/** The parts of a cell that have weights, g first. @type {Record<Cell, string[]>} */
export const LETTERS = { gated: ["g"], gru: ["g", "z", "r"], lstm: ["g", "f", "i", "o"] };

/** @param {Cell} cell @param {number} size @returns {State} */
export function zeroState(cell, size) {
  const zeros = Array.from({ length: size }, () => 0);
  return { hidden: zeros, cell: cell === "lstm" ? [...zeros] : [] };
}

/** @param {Network} network @param {State} state @param {number} input @returns {Step} */
export function step(network, state, input) {
  if (network.cell === "gru") return gruStep(network, state, input);
  if (network.cell === "lstm") return lstmStep(network, state, input);
  return gatedStep(network, state, input);
}

/**
 * The network along a sequence.
 * @param {Network} network
 * @param {State} state before the first input
 * @param {number[]} inputs
 * @returns {Step[]}
 */
export function run(network, state, inputs) {
  const steps = [];
  for (const input of inputs) {
    steps.push(step(network, state, input));
    state = steps[steps.length - 1].state;
  }
  return steps;
}

/**
 * How much of the gradient at the last state reaches the state k steps before, for k from 0: the
 * Frobenius norm of dh_T / dh_(T-k) and of dc_T / dc_(T-k), divided by that for k = 0.
 * @param {Step[]} steps
 * @returns {{hidden: number[], cell: number[]}}
 */
export function gradientOverLag(steps) {
  const size = steps[0].state.hidden.length;
  let product = identity(steps[0].jacobian.length);
  const hidden = [1];
  const cell = product.length > size ? [1] : [];
  for (const { jacobian } of [...steps].reverse()) {
    product = multiply(product, jacobian);
    hidden.push(norm(block(product, 0, size)) / Math.sqrt(size));
    if (product.length > size) cell.push(norm(block(product, size, size)) / Math.sqrt(size));
  }
  return { hidden, cell };
}

/** @param {Network} network @param {State} state @param {number} input @returns {Step} */
function gatedStep({ weights, keep, tanhSlope }, { hidden }, input) {
  const g = linear(weights.g, hidden, input).map(Math.tanh);
  const slopes = tanhDerivative(g, tanhSlope);
  const jacobian = add(diagonal(hidden.map(() => keep)), scaleRows(slopes, weights.g.W_h));
  const after = hidden.map((value, unit) => keep * value + g[unit]);
  return { state: { hidden: after, cell: [] }, gates: { g }, jacobian };
}

/** @param {Network} network @param {State} state @param {number} input @returns {Step} */
function gruStep({ weights, tanhSlope }, { hidden }, input) {
  const z = linear(weights.z, hidden, input).map(sigmoid);
  const r = linear(weights.r, hidden, input).map(sigmoid);
  const recalled = apply(weights.g.W_h, hidden);
  const g = r.map((gate, unit) => Math.tanh(weights.g.W_x[unit] * input + weights.g.b[unit] + gate * recalled[unit]));
  const slopes = tanhDerivative(g, tanhSlope);
  const candidate = add(
    scaleRows(r, weights.g.W_h),
    scaleRows(times(recalled, r.map(sigmoidDerivative)), weights.r.W_h),
  );
  const jacobian = add(
    diagonal(z),
    scaleRows(z.map((gate, unit) => (hidden[unit] - g[unit]) * sigmoidDerivative(gate)), weights.z.W_h),
    scaleRows(z.map((gate, unit) => (1 - gate) * slopes[unit]), candidate),
  );
  const after = z.map((gate, unit) => gate * hidden[unit] + (1 - gate) * g[unit]);
  return { state: { hidden: after, cell: [] }, gates: { g, z, r }, jacobian };
}

/** @param {Network} network @param {State} state @param {number} input @returns {Step} */
function lstmStep({ weights, tanhSlope }, { hidden, cell }, input) {
  const g = linear(weights.g, hidden, input).map(Math.tanh);
  const [f, i, o] = ["f", "i", "o"].map((letter) => linear(weights[letter], hidden, input).map(sigmoid));
  const after = cell.map((value, unit) => f[unit] * value + i[unit] * g[unit]);
  const squashed = after.map(Math.tanh);
  const cellByHidden = add(
    scaleRows(times(cell, f.map(sigmoidDerivative)), weights.f.W_h),
    scaleRows(times(g, i.map(sigmoidDerivative)), weights.i.W_h),
    scaleRows(times(i, tanhDerivative(g, tanhSlope)), weights.g.W_h),
  );
  const shown = times(o, tanhDerivative(squashed, tanhSlope));
  const hiddenByHidden = add(
    scaleRows(shown, cellByHidden),
    scaleRows(times(squashed, o.map(sigmoidDerivative)), weights.o.W_h),
  );
  const hiddenByCell = diagonal(times(shown, f));
  const cellByCell = diagonal(f);
  const jacobian = [
    ...hiddenByHidden.map((row, unit) => [...row, ...hiddenByCell[unit]]),
    ...cellByHidden.map((row, unit) => [...row, ...cellByCell[unit]]),
  ];
  return { state: { hidden: times(o, squashed), cell: after }, gates: { g, f, i, o }, jacobian };
}

/** @param {Linear} weights @param {number[]} hidden @param {number} input */
function linear({ W_h, W_x, b }, hidden, input) {
  return apply(W_h, hidden).map((value, unit) => value + W_x[unit] * input + b[unit]);
}

/** @param {number[]} left @param {number[]} right */
function times(left, right) {
  return left.map((value, index) => value * right[index]);
}

/** @param {number[]} values of tanh @param {boolean} counts */
function tanhDerivative(values, counts) {
  return values.map((value) => (counts ? 1 - value * value : 1));
}

/** @param {number} value */
export function sigmoid(value) {
  return 1 / (1 + Math.exp(-value));
}

/** @param {number} value of the sigmoid */
function sigmoidDerivative(value) {
  return value * (1 - value);
}

/** @param {Matrix} matrix @param {number} first row and column @param {number} size */
function block(matrix, first, size) {
  return matrix.slice(first, first + size).map((row) => row.slice(first, first + size));
}
