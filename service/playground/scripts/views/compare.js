// Compare: the probabilities of two continuations after each word of a sentence.

import { curlCommand, showCurl } from "../curl_command.js";
import { afterPause, find, make } from "../dom.js";
import { percent, powerOfTen, visible } from "../format.js";
import { lineChart } from "../line_chart.js";
import { remember } from "../link.js";
import { fillModels, onExample } from "../model_menu.js";
import { post } from "../service.js";
import { Task } from "../task.js";

const STEP = 74; // pixels for each word at least

/** @typedef {{text: string, logprobs: number[]}} Step */
/** @typedef {{text: string, erasure: number}} InfluentialToken */

/** The view, in its section of the page. */
export class CompareView {
  /**
   * @param {HTMLElement} section
   * @param {import("../api_types.js").Model[]} models
   */
  constructor(section, models) {
    this.section = section;
    this.models = fillModels(find("#compare-model", section), models, "language-model", "english-word");
    this.task = new Task(find(".notice", section));
    this.inputs = ["#compare-prefix", "#compare-first", "#compare-second"].map(
      (selector) => /** @type {HTMLInputElement} */ (find(selector, section)),
    );
    const compareSoon = afterPause(120, () => this.compare());
    for (const input of this.inputs) input.addEventListener("input", compareSoon);
    this.models.onChange(() => this.compare());
    onExample(section, ({ model = "", prefix = "", first = "", second = "" }) => {
      this.models.choose(model);
      this.fill([prefix, first, second]);
      this.compare();
    });
    /** @type {Step[]} */
    this.steps = [];
    /** @type {number[]} */
    this.pulls = [];
    this.chartWidth = 0;
    new ResizeObserver(() => this.draw()).observe(find(".sentence-chart", section));
  }

  /** Shows the state of a link. @param {URLSearchParams} parameters */
  open(parameters) {
    this.models.choose(parameters.get("model"));
    const names = ["prefix", "first", "second"];
    this.fill(names.map((name, index) => parameters.get(name) ?? this.inputs[index].value));
    this.compare();
  }

  /** Shows the view as it was left. */
  resume() {
    this.compare();
  }

  close() {
    this.task.stop();
  }

  /** @param {string[]} values */
  fill(values) {
    this.inputs.forEach((input, index) => (input.value = values[index]));
  }

  compare() {
    if (this.section.hidden) return;
    const model = this.models.current.name;
    const [prefix, first, second] = this.inputs.map(({ value }) => value);
    remember("compare", { model, prefix, first, second });
    if ([prefix, first, second].some((text) => text.trim() === "")) {
      this.task.stop();
      this.task.show("Write the beginning of a sentence and two ways to go on.");
      return;
    }
    const continuations = [first, second].map((text) => (/^\s/.test(text) ? text : ` ${text}`));
    const fields = { model, prefix: prefix.trimEnd(), continuations };
    showCurl(find(".curl", this.section), curlCommand("inspect/continuations", fields));
    this.task.run(async (signal) => {
      const { steps } = await post("inspect/continuations", fields, signal);
      const influences = await Promise.all(
        continuations.map((target) => post("inspect/influence", { model, text: fields.prefix, target }, signal)),
      );
      const [one, other] = influences.map(({ tokens }) => /** @type {InfluentialToken[]} */ (tokens));
      this.steps = steps;
      this.pulls = one.map(({ erasure }, index) => erasure - other[index].erasure);
      this.chartWidth = 0;
      this.draw();
      this.showVerdict();
      this.showTable();
    });
  }

  draw() {
    const box = find(".sentence-chart", this.section);
    const width = Math.max(box.clientWidth, 150 + STEP * (this.steps.length - 1));
    if (this.steps.length === 0 || this.section.hidden || width === this.chartWidth) return;
    this.chartWidth = width;
    const series = [0, 1].map((color) => ({
      label: this.inputs[color + 1].value.trim(),
      color,
      values: this.steps.map(({ logprobs }) => logprobs[color] / Math.LN10),
    }));
    const values = series.flatMap((line) => line.values);
    const minimum = Math.max(Math.floor(Math.min(...values)), -9);
    const maximum = Math.min(Math.ceil(Math.max(...values)), 0);
    const ticks = [];
    for (let power = minimum; power <= maximum; power += 1) {
      ticks.push({ value: power, label: powerLabel(power) });
    }
    const words = this.steps.map(({ text }, index) => ({
      text: index === 0 ? "(start)" : visible(text.trim() || text),
      className: index === 0 ? "" : this.pullClass(index - 1),
    }));
    const description = `Probability of ${series.map(({ label }) => `“${label}”`).join(" and ")} after each word`;
    const options = { width, height: 320, minimum, maximum: Math.max(maximum, minimum + 1), ticks, description, words };
    box.replaceChildren(lineChart(series, options));
  }

  /** The color of a word that pulls towards one of the two. @param {number} index */
  pullClass(index) {
    const strongest = Math.max(...this.pulls.map(Math.abs));
    const pull = this.pulls[index] ?? 0;
    if (Math.abs(pull) < Math.max(0.25 * strongest, 0.1)) return "";
    return pull > 0 ? "color-0" : "color-1";
  }

  showVerdict() {
    const [first, second] = this.inputs.slice(1).map(({ value }) => value.trim());
    const [one, other] = this.steps[this.steps.length - 1].logprobs;
    const ratio = Math.exp(Math.abs(one - other));
    const [likelier, rarer] = one >= other ? [first, second] : [second, first];
    const times = ratio < 10 ? ratio.toFixed(1) : String(Math.round(ratio));
    find(".verdict", this.section).replaceChildren(
      make("b", {}, `“${likelier}”`),
      ` is ${times} times as likely as “${rarer}” here. A colored word pulls towards the line of its color: `,
      "without the word, that line would end lower beside the other.",
    );
  }

  showTable() {
    const names = ["After", ...this.inputs.slice(1).map(({ value }) => value.trim())];
    const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
    const rows = this.steps.map(({ text, logprobs }) => {
      const cells = logprobs.map((logprob) => make("td", { "data-logprob": logprob }, percent(Math.exp(logprob))));
      return make("tr", {}, make("th", { scope: "row" }, text.trim() || "(beginning)"), ...cells);
    });
    find("table", this.section).replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  }
}

/** @param {number} power of ten */
function powerLabel(power) {
  return power >= -3 ? `${100 * 10 ** power} %` : powerOfTen(power);
}
