// Memory: two texts that differ, the same words after them, and how long the difference lasts.

import { curlCommand, showCurl } from "../../curl_command.js";
import { afterPause, find, make } from "../../dom.js";
import { decodeFloat16 } from "../../float16.js";
import { count, visible } from "../../format.js";
import { lineChart } from "../../line_chart.js";
import { remember } from "../../link.js";
import { fillModels, onExample } from "../../model_menu.js";
import { post } from "../../service.js";
import { NoticeError, Task } from "../../task.js";
import { halfLife, lastingUnits } from "./half_life.js";

const STEP = 78; // pixels for each word at least
const SHOWN_UNITS = 6;
const EQUAL = 1e-6; // a smaller distance is rounding
const COLORS = 4; // of the style sheet
const SMALLEST = 0.0001; // differences below it are drawn there

/** @typedef {{text: string, distance: number[], divergence_bits: number}} Step */

/** The view, in its section of the page. */
export class MemoryView {
  /**
   * @param {HTMLElement} section
   * @param {import("../../api_types.js").Model[]} models
   */
  constructor(section, models) {
    this.section = section;
    this.models = fillModels(find("#memory-model", section), models, "language-model", "english-word");
    this.task = new Task(find(".notice", section));
    this.operation = new Task(find(".operation-notice", section));
    this.inputs = ["#memory-first", "#memory-second", "#memory-continuation"].map(
      (selector) => /** @type {HTMLInputElement} */ (find(selector, section)),
    );
    this.seed = /** @type {HTMLInputElement} */ (find("#memory-seed", section));
    this.swap = /** @type {HTMLSelectElement} */ (find("#memory-swap", section));
    for (const input of this.inputs) input.addEventListener("input", afterPause(200, () => this.compare()));
    this.models.onChange(() => this.compare());
    onExample(section, ({ model = "", first = "", second = "", continuation = "" }) => {
      this.models.choose(model);
      this.fill([first, second, continuation]);
      this.compare();
    });
    find(".operation-form", section).addEventListener("submit", (event) => {
      event.preventDefault();
      this.goOn();
    });
    /** @type {Step[]} */
    this.steps = [];
    this.chartWidth = 0;
    new ResizeObserver(() => this.draw()).observe(find(".distance-chart", section));
  }

  /** Shows the state of a link. @param {URLSearchParams} parameters */
  open(parameters) {
    this.models.choose(parameters.get("model"));
    const names = ["first", "second", "continuation"];
    this.fill(names.map((name, index) => parameters.get(name) ?? this.inputs[index].value));
    this.compare();
  }

  /** Shows the view as it was left. */
  resume() {
    this.compare();
  }

  close() {
    this.task.stop();
    this.operation.stop();
  }

  /** @param {string[]} values */
  fill(values) {
    this.inputs.forEach((input, index) => (input.value = values[index]));
  }

  /** The two texts and the words after both, as the model reads them. */
  get texts() {
    const [first, second, continuation] = this.inputs.map(({ value }) => value);
    const joined = continuation === "" || /^\s/.test(continuation) ? continuation : ` ${continuation}`;
    return { first: first.trimEnd(), second: second.trimEnd(), continuation: joined };
  }

  compare() {
    if (this.section.hidden) return;
    const model = this.models.current.name;
    const [first, second, continuation] = this.inputs.map(({ value }) => value);
    remember("memory", { model, first, second, continuation });
    this.offerLayers();
    const fields = { model, ...this.texts, top: 1 };
    showCurl(find(".view-curl", this.section), curlCommand("inspect/states", fields));
    for (const text of this.section.querySelectorAll(".operation-result .passage")) text.replaceChildren();
    this.task.run(async (signal) => {
      if ([first, second, continuation].some((text) => text.trim() === "")) {
        throw new NoticeError("Write two texts that differ, and words that follow both.");
      }
      const { steps } = await post("inspect/states", fields, signal);
      this.steps = steps;
      this.chartWidth = 0;
      this.draw();
      this.showHalfLives();
      await this.showUnits(signal);
    });
  }

  draw() {
    const box = find(".distance-chart", this.section);
    const width = Math.max(box.clientWidth, 150 + STEP * (this.steps.length - 1));
    if (this.steps.length === 0 || this.section.hidden || width === this.chartWidth) return;
    this.chartWidth = width;
    const layers = this.steps[0].distance.length;
    const logarithm = (/** @type {number} */ value) => Math.log10(Math.max(value, SMALLEST));
    const series = Array.from({ length: layers }, (_, layer) => ({
      label: `layer ${layer}`,
      color: layer % COLORS,
      values: this.steps.map(({ distance }) => logarithm(distance[layer])),
    }));
    series.push({ label: "prediction", color: layers % COLORS, values: this.steps.map((step) => logarithm(step.divergence_bits)) });
    const values = series.flatMap((line) => line.values);
    const [minimum, maximum] = [Math.floor(Math.min(...values)), Math.max(Math.ceil(Math.max(...values)), 0)];
    const ticks = Array.from({ length: maximum - minimum + 1 }, (_, index) => ({
      value: minimum + index,
      label: String(10 ** (minimum + index)),
    }));
    const words = this.steps.map(({ text }, index) => ({ text: index === 0 ? "(start)" : visible(text.trim() || text) }));
    const description = "Distance of the two states by layer, and divergence of the predictions, after each common word";
    box.replaceChildren(lineChart(series, { width, height: 320, minimum, maximum, ticks, description, words }));
  }

  showHalfLives() {
    if (Math.max(...this.steps[0].distance) < EQUAL) {
      find(".verdict", this.section).textContent = "Both texts leave the same state.";
      return;
    }
    const layers = this.steps[0].distance.map((_, layer) => /** @type {[string, number | null]} */ ([
      `layer ${layer}`,
      halfLife(this.steps.map(({ distance }) => distance[layer])),
    ]));
    layers.push(["the prediction", halfLife(this.steps.map((step) => step.divergence_bits))]);
    const parts = layers.flatMap(([name, steps], index) => [index === 0 ? "" : ", ", make("b", {}, this.lasting(steps)), ` in ${name}`]);
    find(".verdict", this.section).replaceChildren("Half of the difference is gone after ", ...parts, ".");
  }

  /** @param {AbortSignal} signal */
  async showUnits(signal) {
    const { first, second, continuation } = this.texts;
    const [one, other] = await Promise.all(
      [first, second].map(async (text) => {
        const fields = { model: this.models.current.name, text: text + continuation, top: 0, encoding: "base64" };
        return (await post("inspect", fields, signal)).arrays.hidden;
      }),
    );
    const [, layers, hidden] = one.shape;
    const steps = this.steps.length;
    const last = (/** @type {import("../../api_types.js").EncodedArray} */ array) => decodeFloat16(array).slice(-steps * layers * hidden);
    const units = lastingUnits(last(one), last(other), { steps, layers, hidden }, SHOWN_UNITS);
    const names = ["Layer", "Unit", "Difference at first", "At the end", "Half-life"];
    const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
    const rows = units.map((unit) => {
      const cells = [unit.unit, unit.first.toFixed(2), unit.last.toFixed(2), this.lasting(unit.halfLife)];
      return make("tr", {}, make("th", { scope: "row" }, String(unit.layer)), ...cells.map((cell) => make("td", {}, String(cell))));
    });
    find(".lasting-units", this.section).replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  }

  /** The parts of the memories that can be swapped: a layer alone where there are several. */
  offerLayers() {
    const layers = Number(this.models.current.architecture.layers);
    const chosen = this.swap.value;
    [...this.swap.options].slice(2).forEach((option) => option.remove());
    for (let layer = 0; layers > 1 && layer < layers; layer += 1) {
      this.swap.append(make("option", { value: String(layer) }, `layer ${layer}`));
    }
    this.swap.value = [...this.swap.options].some(({ value }) => value === chosen) ? chosen : "";
  }

  /** The same words and random numbers after the two memories, or after the swapped ones. */
  goOn() {
    const { first, second, continuation } = this.texts;
    const common = { model: this.models.current.name, seed: Number(this.seed.value) || 0, temperature: 0.7, max_tokens: 24 };
    const prompts = [first + continuation, second + continuation];
    if (this.swap.value !== "") {
      const layers = this.swap.value === "all" ? {} : { layers: [Number(this.swap.value)] };
      const fields = { ...common, first, second, continuation, ...layers };
      showCurl(find(".operation-curl", this.section), curlCommand("inspect/swap", fields));
      this.operation.run(async (signal) => {
        const { first_swapped: one, second_swapped: other } = await post("inspect/swap", fields, signal);
        this.showTexts(prompts, [one.text, other.text]);
      });
      return;
    }
    const requests = prompts.map((prompt) => ({ ...common, prompt }));
    showCurl(find(".operation-curl", this.section), curlCommand("generate", requests[0]));
    this.operation.run(async (signal) => {
      const answers = await Promise.all(requests.map((each) => post("generate", each, signal)));
      this.showTexts(prompts, answers.map(({ choices }) => choices[0].text));
    });
  }

  /**
   * @param {string[]} prompts
   * @param {string[]} continuations
   */
  showTexts(prompts, continuations) {
    const places = [...this.section.querySelectorAll(".operation-result .passage")];
    places.forEach((place, index) => {
      place.replaceChildren(make("span", { className: "shared" }, prompts[index]), continuations[index]);
    });
  }

  /** @param {number | null} steps null: more than the continuation has */
  lasting(steps) {
    const noun = this.models.current.tokenizer === "word" ? "word" : "token";
    return steps === null ? `more than ${count(this.steps.length - 1, noun)}` : count(steps, noun);
  }
}
