// Recurrence: a network of one or two units with a slider for each weight, computed in the page.

import { gradientOverLag, run, zeroState } from "../../recurrence/cells.js";
import { spectralRadius } from "../../recurrence/matrix.js";
import { defaultSettings, inputsOf, linkOf, settingsOf } from "../../recurrence/settings.js";
import { find, make, oncePerFrame } from "../../dom.js";
import { threeDigits } from "../../format.js";
import { formula } from "../../formula.js";
import { remember } from "../../link.js";
import { gradientChart, stateChart, statePlane } from "./drawings.js";
import { weightSliders } from "./weight_sliders.js";

const VANISHED = 0.01;
const FORMULAS = {
  gated: "h′ = f h + g,   g = tanh(W_h h + W_x x + b)",
  gru: "h′ = z h + (1 − z) g,   g = tanh(W_x x + b + r (W_h h))",
  lstm: "c′ = f c + i g,   h′ = o tanh(c′),   g = tanh(W_h h + W_x x + b)",
};

/** @typedef {import("../../recurrence/cells.js").Step} Step */

/** The view, in its section of the page. It needs no model. */
export class RecurrenceView {
  /** @param {HTMLElement} section */
  constructor(section) {
    this.section = section;
    this.settings = defaultSettings("gated", 1);
    this.drawSoon = oncePerFrame(() => this.draw());
    this.cell = /** @type {HTMLSelectElement} */ (find("#recurrence-cell", section));
    this.size = /** @type {HTMLSelectElement} */ (find("#recurrence-size", section));
    this.inputs = /** @type {HTMLSelectElement} */ (find("#recurrence-inputs", section));
    this.steps = /** @type {HTMLInputElement} */ (find("#recurrence-steps", section));
    this.keep = /** @type {HTMLInputElement} */ (find("#recurrence-keep", section));
    this.slope = /** @type {HTMLInputElement} */ (find("#recurrence-slope", section));
    for (const select of [this.cell, this.size]) select.addEventListener("change", () => this.rebuild());
    for (const input of [this.inputs, this.steps, this.keep, this.slope]) {
      input.addEventListener("input", () => this.read());
    }
    for (const button of section.querySelectorAll(".examples button")) {
      button.addEventListener("click", () => {
        this.apply(new URLSearchParams(/** @type {HTMLElement} */ (button).dataset.link));
      });
    }
    new ResizeObserver(this.drawSoon).observe(find(".recurrence-charts", section));
  }

  /** Shows the state of a link. @param {URLSearchParams} parameters */
  open(parameters) {
    this.apply(parameters);
  }

  /** Shows the view as it was left. */
  resume() {
    this.draw();
  }

  close() {}

  /** @param {URLSearchParams} parameters */
  apply(parameters) {
    this.settings = settingsOf(parameters);
    const { cell, size, inputs, steps, keep, tanhSlope } = this.settings;
    this.cell.value = cell;
    this.size.value = String(size);
    this.inputs.value = inputs;
    this.steps.value = String(steps);
    this.keep.value = String(keep);
    this.slope.checked = tanhSlope;
    this.showControls();
  }

  /** Another cell or size has other weights; the rest stays. */
  rebuild() {
    const cell = /** @type {import("../../recurrence/cells.js").Cell} */ (this.cell.value);
    const { weights } = defaultSettings(cell, Number(this.size.value));
    this.settings = { ...this.settings, cell, size: Number(this.size.value), weights };
    this.showControls();
  }

  /** Takes over all controls but the weights. */
  read() {
    Object.assign(this.settings, {
      inputs: this.inputs.value,
      steps: Number(this.steps.value),
      keep: Number(this.keep.value),
      tanhSlope: this.slope.checked,
    });
    this.drawSoon();
  }

  showControls() {
    find(".keep-control", this.section).hidden = this.settings.cell !== "gated";
    find(".formula", this.section).replaceChildren(...formula(FORMULAS[this.settings.cell]));
    find(".weights", this.section).replaceChildren(...weightSliders(this.settings, this.drawSoon));
    this.draw();
  }

  draw() {
    if (this.section.hidden) return;
    const { cell, size, steps: count, keep } = this.settings;
    remember("recurrence", linkOf(this.settings));
    find(".keep-value", this.section).textContent = keep.toFixed(2);
    find(".steps-value", this.section).textContent = String(count);
    const inputs = inputsOf(this.settings);
    const steps = run(this.settings, zeroState(cell, size), inputs);
    const gradient = gradientOverLag(steps);
    const states = find(".states", this.section);
    states.replaceChildren(size === 1 ? stateChart(steps, states.clientWidth) : statePlane(steps));
    const flow = find(".gradient-flow", this.section);
    flow.replaceChildren(gradientChart(gradient, flow.clientWidth));
    find(".verdict", this.section).replaceChildren(...formula(this.verdict(gradient)));
    find("table", this.section).replaceChildren(...numbers(inputs, steps, gradient));
  }

  /** @param {{hidden: number[], cell: number[]}} gradient */
  verdict({ hidden, cell }) {
    const { steps, weights } = this.settings;
    const left = cell.length > 0 ? cell[steps] : hidden[steps];
    const what = cell.length > 0 ? "the gradient of the cell state" : "the gradient";
    const fate = left < VANISHED ? "It vanishes." : left > 1 / VANISHED ? "It explodes." : "It lasts.";
    const radius = threeDigits(spectralRadius(weights.g.W_h));
    return `${steps} steps back, ${what} is ${threeDigits(left)} times as large. ${fate} The spectral radius of W_h is ${radius}.`;
  }
}

/**
 * The rows of the table of numbers.
 * @param {number[]} inputs
 * @param {Step[]} steps
 * @param {{hidden: number[], cell: number[]}} gradient
 */
function numbers(inputs, steps, gradient) {
  const gates = Object.keys(steps[0].gates);
  const one = steps[0].state.hidden.length === 1;
  const withCell = steps[0].state.cell.length > 0;
  const names = ["t", "x", "h", ...(withCell ? ["c"] : []), ...gates, ...(one ? ["∂h/∂h before"] : []), "product from the end"];
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
  const rows = steps.map(({ state, gates: values, jacobian }, index) => {
    const cells = [[inputs[index]], state.hidden, ...(withCell ? [state.cell] : []), ...gates.map((gate) => values[gate])];
    if (one) cells.push([jacobian[0][0]]);
    cells.push([gradient.hidden[steps.length - index]]);
    const columns = cells.map((column) => make("td", {}, column.map(threeDigits).join(", ")));
    return make("tr", {}, make("th", { scope: "row" }, String(index + 1)), ...columns);
  });
  return [make("thead", {}, head), make("tbody", {}, ...rows)];
}
