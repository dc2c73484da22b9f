// Classify: a document while it is read, the words that decide, or a column of documents.

import { barList } from "../../bars.js";
import { curlCommand, showCurl } from "../../curl_command.js";
import { afterPause, find, make } from "../../dom.js";
import { count, percent, signed } from "../../format.js";
import { lineChart, markPosition } from "../../line_chart.js";
import { remember } from "../../link.js";
import { fillModels, onExample } from "../../model_menu.js";
import { post } from "../../service.js";
import { Task } from "../../task.js";
import { classifyColumn, documentsOf, labelName, resultTable } from "./column.js";
import { documentWords } from "./document_words.js";

const PREFIXES = 128;
const LABELS = 5;

/** @typedef {import("../../api_types.js").Inspection} Inspection */

/** The view, in its section of the page. */
export class ClassifyView {
  /**
   * @param {HTMLElement} section
   * @param {import("../../api_types.js").Model[]} models
   */
  constructor(section, models) {
    this.section = section;
    this.models = fillModels(find("#classify-model", section), models, "classifier", "sentiment");
    this.task = new Task(find(".notice", section));
    this.input = /** @type {HTMLTextAreaElement} */ (find("#classify-text", section));
    this.column = /** @type {HTMLInputElement} */ (find("#classify-column", section));
    const classifySoon = afterPause(120, () => this.classify());
    this.input.addEventListener("input", classifySoon);
    this.column.addEventListener("change", () => this.classify());
    this.models.onChange(() => this.classify());
    const words = find(".document", section);
    words.addEventListener("pointerover", (event) => this.pointAt(event.target));
    words.addEventListener("pointerleave", () => this.pointAt(null));
    find(".nearest", section).addEventListener("click", () => this.findNearestChange());
    onExample(section, ({ model = "", text = "", column }) => {
      this.models.choose(model);
      this.input.value = text;
      this.column.checked = column !== undefined;
      this.classify();
    });
    new ResizeObserver(() => this.drawChart()).observe(find(".reading-chart", section));
    /** @type {Inspection | null} */
    this.inspection = null;
    this.chartWidth = 0;
  }

  /** Shows the state of a link. @param {URLSearchParams} parameters */
  open(parameters) {
    this.models.choose(parameters.get("model"));
    this.input.value = parameters.get("text") ?? this.input.value;
    this.column.checked = parameters.has("column");
    this.classify();
  }

  /** Shows the view as it was left. */
  resume() {
    this.classify();
  }

  close() {
    this.task.stop();
  }

  /** A label as words. @param {string} label */
  named(label) {
    return labelName(this.models.current, label);
  }

  classify() {
    if (this.section.hidden) return;
    const text = this.input.value;
    const model = this.models.current;
    remember("classify", { model: model.name, column: this.column.checked ? "1" : "", text });
    find(".one-document", this.section).hidden = this.column.checked;
    find(".many-documents", this.section).hidden = !this.column.checked;
    find(".change", this.section).textContent = "";
    if (text.trim() === "") {
      this.task.stop();
      this.task.show("Write or paste a text, or choose an example.");
      this.section.classList.add("empty");
    } else if (this.column.checked) {
      this.classifyColumn(model, text);
    } else {
      this.classifyDocument(model, text);
    }
  }

  /** @param {import("../../api_types.js").Model} model @param {string} text */
  classifyDocument(model, text) {
    const fields = { model: model.name, text, prefixes: PREFIXES };
    showCurl(find(".curl", this.section), curlCommand("inspect", fields));
    this.task.run(async (signal) => {
      this.inspection = await post("inspect", fields, signal);
      this.section.classList.remove("empty");
      this.draw(text);
    });
  }

  /** @param {import("../../api_types.js").Model} model @param {string} text */
  classifyColumn(model, text) {
    const documents = documentsOf(text);
    const fields = { model: model.name, texts: documents, top: 1 };
    showCurl(find(".curl", this.section), curlCommand("classify", fields));
    this.task.run(async (signal) => {
      /** @type {import("./column.js").Result[]} */
      const results = [];
      const draw = (/** @type {import("./column.js").Result[]} */ part) => {
        results.push(...part);
        this.section.classList.remove("empty");
        find(".many-documents", this.section).replaceChildren(resultTable(model, documents, results));
      };
      await classifyColumn(model, documents, draw, signal);
    });
  }

  /** @param {string} text */
  draw(text) {
    if (this.inspection === null) return;
    const { tokens, attribution, unknown_tokens: unknown } = this.inspection;
    const scores = tokens.findLast((token) => token.scores !== undefined)?.scores ?? [];
    const bars = scores.slice(0, LABELS).map(({ label, score }) => ({ label: this.named(label), probability: score }));
    find(".labels", this.section).replaceChildren(barList(bars, 1));
    find(".document", this.section).replaceChildren(...documentWords(text, tokens));
    const { thresholds } = this.models.current;
    const given = scores.filter(({ label, score }) => thresholds !== undefined && score >= thresholds[label]);
    const names = given.map(({ label }) => this.named(label)).join(", ");
    const facts = thresholds === undefined ? [] : [`over their threshold: ${names || "none"}`];
    facts.push(`${count(tokens.length, "word")} read`, `${unknown} not in the vocabulary`);
    find(".totals", this.section).textContent = facts.join(", ");
    if (attribution === undefined) {
      find(".attribution", this.section).textContent = "A model of one label has no contributions of words.";
    } else {
      const { label, other, total, baseline, completeness_gap: gap } = attribution;
      find(".attribution", this.section).textContent =
        `Green words speak for ${this.named(label)} over ${this.named(other)}, blue ones against. ` +
        `They add up to ${signed(total - baseline - gap)} of ${signed(total - baseline)} in log-odds ` +
        `(completeness gap ${signed(gap, 4)}).`;
    }
    this.chartWidth = 0;
    this.drawChart();
  }

  /** Marks the word under the pointer in the chart, and says how likely the label is after it. @param {EventTarget | null} target */
  pointAt(target) {
    const chart = this.section.querySelector(".reading-chart svg");
    if (this.inspection === null || chart === null) return;
    const { tokens } = this.inspection;
    const word = target instanceof HTMLElement ? target.dataset.index : undefined;
    const read = tokens.filter(({ scores }) => scores !== undefined);
    const position = word === undefined ? -1 : read.indexOf(tokens[Number(word)]);
    markPosition(chart, position < 0 ? null : position);
    const label = read[read.length - 1]?.scores?.[0].label;
    const score = read[position]?.scores?.find((candidate) => candidate.label === label);
    find(".chart-readout", this.section).textContent = score
      ? `after “${tokens[Number(word)].text}”: ${this.named(score.label)} ${percent(score.score)}`
      : "";
  }

  drawChart() {
    const box = find(".reading-chart", this.section);
    const width = Math.max(box.clientWidth, 280);
    if (this.inspection === null || this.section.hidden || width === this.chartWidth) return;
    this.chartWidth = width;
    const read = this.inspection.tokens.filter((token) => token.scores !== undefined);
    const last = read[read.length - 1]?.scores ?? [];
    const series = last.slice(0, 2).map(({ label }, color) => ({
      label: this.named(label),
      color,
      values: read.map(({ scores = [] }) => scores.find((score) => score.label === label)?.score ?? 0),
    }));
    if (series.length === 0) return;
    const ticks = [0, 0.5, 1].map((value) => ({ value, label: `${100 * value} %` }));
    const ends = series.map(({ label, values }) => `${label} ${percent(values[values.length - 1])}`);
    const description = `Probability of the labels after each word; at the end ${ends.join(", ")}`;
    box.replaceChildren(lineChart(series, { width, height: 190, minimum: 0, maximum: 1, ticks, description }));
  }

  /** Asks for the fewest words whose absence changes the label. */
  findNearestChange() {
    const fields = { model: this.models.current.name, text: this.input.value, nearest_change: true };
    if (this.input.value.trim() === "") return;
    showCurl(find(".curl", this.section), curlCommand("inspect", fields));
    this.task.run(async (signal) => {
      /** @type {Inspection} */
      const { nearest_change: change } = await post("inspect", fields, signal);
      const line = find(".change", this.section);
      if (change === undefined) {
        line.textContent = "No few words change the label.";
        return;
      }
      const words = change.removed.map((word) => `“${word}”`).join(", ");
      line.replaceChildren("Without ", make("b", {}, words), ` the label is ${this.named(change.label)} (${percent(change.score)}).`);
    });
  }
}
