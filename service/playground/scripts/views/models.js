// Models: what is loaded, how it is built, its metrics and limits.

import { curlCommand, showCurl } from "../curl_command.js";
import { find, make } from "../dom.js";
import { grouped, percent } from "../format.js";
import { remember } from "../link.js";

/** @typedef {import("../api_types.js").Model} Model */

const STEPS = 4; // of the drawing of an unrolled network
const HEADLINES = ["test_accuracy", "test_word_perplexity", "test_perplexity", "validation_accuracy", "validation_perplexity"];

/** The view, in its section of the page. */
export class ModelsView {
  /**
   * @param {HTMLElement} section
   * @param {Model[]} models
   */
  constructor(section, models) {
    this.section = section;
    find(".cards", section).replaceChildren(...models.map(card));
    showCurl(find(".curl", section), curlCommand("models"));
  }

  open() {
    remember("models", {});
  }

  /** Shows the view as it was left. */
  resume() {
    this.open();
  }

  close() {}
}

/** @param {Model} model */
function card(model) {
  const heading = make("h3", {}, model.name);
  if (model.default) heading.append(" ", make("span", { className: "badge" }, "default"));
  const kind = model.kind === "classifier" ? "Document classifier" : "Language model";
  return make(
    "article",
    { className: "card" },
    make("header", {}, heading, make("p", { className: "kind" }, `${kind}, version ${model.version}`)),
    unrolled(model),
    headline(model.metrics),
    make("p", { className: "memory" }, memory(model)),
    links(model),
    details("Architecture", { tokenizer: model.tokenizer, vocabulary_size: model.vocabulary_size, ...model.architecture }),
    details("Metrics", model.metrics),
    details("Limits of a request", model.limits),
    ...(model.labels ? [labelList(model.labels)] : []),
  );
}

/** The network over a few steps of time: a row for each layer. @param {Model} model */
function unrolled({ architecture }) {
  const layers = Number(architecture.layers ?? 1);
  const rows = Array.from({ length: layers }, () =>
    make("span", { className: "network-layer" }, ...Array.from({ length: STEPS }, () => make("span", { className: "network-cell" }))),
  );
  const cell = String(architecture.cell).toUpperCase();
  const direction = architecture.bidirectional ? ", both directions" : "";
  const caption = `${layers} × ${grouped(Number(architecture.hidden))} ${cell} units${direction}`;
  const drawing = make("span", { className: "layers", "aria-hidden": "true" }, ...rows);
  return make("p", { className: "unrolled" }, drawing, caption);
}

/** The metric that says most. @param {Record<string, number>} metrics */
function headline(metrics) {
  const name = HEADLINES.find((candidate) => candidate in metrics);
  if (name === undefined) return "";
  const value = name.includes("accuracy") ? percent(metrics[name]) : metrics[name].toFixed(1);
  return make("p", { className: "headline" }, make("b", {}, value), ` ${name.replaceAll("_", " ")}`);
}

/** What the model remembers of a text. @param {Model} model */
function memory({ kind, architecture }) {
  const states = architecture.cell === "lstm" ? 2 : 1;
  const directions = architecture.bidirectional ? 2 : 1;
  const numbers = Number(architecture.layers) * Number(architecture.hidden) * states * directions;
  const use = kind === "classifier" ? "a document" : "a text";
  return `Its memory of ${use}, however long: ${grouped(numbers)} numbers.`;
}

/** @param {Model} model */
function links({ name, kind }) {
  const views = kind === "classifier" ? ["classify"] : ["write", "read", "compare"];
  const anchors = views.map((view) => make("a", { href: `#${view}?model=${encodeURIComponent(name)}` }, capitalized(view)));
  return make("p", { className: "links" }, ...anchors);
}

/**
 * @param {string} title
 * @param {Record<string, unknown>} entries
 */
function details(title, entries) {
  const rows = Object.entries(entries)
    .filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0))
    .map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name.replaceAll("_", " ")), make("td", {}, shown(value))));
  return make("details", {}, make("summary", {}, title), make("table", {}, make("tbody", {}, ...rows)));
}

/** @param {string[]} labels */
function labelList(labels) {
  const text = labels.map((label) => label.replaceAll("_", " ")).join(", ");
  return make("details", {}, make("summary", {}, `${labels.length} labels`), make("p", { className: "label-list" }, text));
}

/** @param {unknown} value */
function shown(value) {
  if (typeof value !== "number") return value === true ? "yes" : value === false ? "no" : String(value);
  return Number.isInteger(value) || value >= 1000 ? grouped(Math.round(value)) : value.toPrecision(4);
}

/** @param {string} word */
function capitalized(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
