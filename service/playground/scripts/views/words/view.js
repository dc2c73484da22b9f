// Words: their vectors, the words nearest to them, and a map.

import { curlCommand, showCurl } from "../../curl_command.js";
import { afterPause, find, make } from "../../dom.js";
import { fixed, percent } from "../../format.js";
import { remember } from "../../link.js";
import { fillModels, onExample } from "../../model_menu.js";
import { post } from "../../service.js";
import { NoticeError, Task } from "../../task.js";
import { wordMap } from "./word_map.js";

const NEIGHBORS = 8;
const MOST_WORDS = 20;
const LARGEST_SHARE = 0.9; // of the numbers of a vector have the full color or less

/**
 * @typedef {{word: string, norm: number, vector: number[], neighbors: {word: string, cosine: number}[]}} Word
 * @typedef {{words: Word[], points: import("./word_map.js").Point[], explained: number}} Words
 */

/** The view, in its section of the page. */
export class WordsView {
  /**
   * @param {HTMLElement} section
   * @param {import("../../api_types.js").Model[]} models
   */
  constructor(section, models) {
    this.section = section;
    this.models = fillModels(find("#words-model", section), models, "language-model", "english-word");
    this.task = new Task(find(".notice", section));
    this.input = /** @type {HTMLInputElement} */ (find("#words-text", section));
    /** @type {Words | null} */
    this.found = null;
    this.mapWidth = 0;
    this.input.addEventListener("input", afterPause(250, () => this.read()));
    this.models.onChange(() => this.read());
    onExample(section, ({ model = "", text = "" }) => {
      this.models.choose(model);
      this.input.value = text;
      this.read();
    });
    new ResizeObserver(() => this.drawMap()).observe(find(".map-box", section));
  }

  /** Shows the state of a link. @param {URLSearchParams} parameters */
  open(parameters) {
    this.models.choose(parameters.get("model"));
    this.input.value = parameters.get("words") ?? this.input.value;
    this.read();
  }

  /** Shows the view as it was left. */
  resume() {
    this.read();
  }

  close() {
    this.task.stop();
  }

  read() {
    if (this.section.hidden) return;
    const model = this.models.current.name;
    remember("words", { model, words: this.input.value });
    const words = [...new Set(this.input.value.split(/[\s,]+/).filter((word) => word !== ""))];
    const fields = { model, words, neighbors: NEIGHBORS };
    showCurl(find(".curl", this.section), curlCommand("inspect/words", fields));
    this.task.run(async (signal) => {
      if (words.length === 0) throw new NoticeError("Write words of the vocabulary, with spaces between them.");
      if (words.length > MOST_WORDS) throw new NoticeError(`At most ${MOST_WORDS} words are shown.`);
      this.found = await post("inspect/words", fields, signal);
      this.mapWidth = 0;
      this.drawMap();
      this.showWords();
    });
  }

  drawMap() {
    const box = find(".map-box", this.section);
    const width = box.clientWidth;
    if (this.found === null || this.section.hidden || width === this.mapWidth) return;
    this.mapWidth = width;
    const asked = new Set(this.found.words.map(({ word }) => word));
    box.replaceChildren(wordMap(this.found.points, asked, width));
    const share = percent(this.found.explained);
    find(".map-caption", this.section).textContent = `The map shows ${share} of the variance of these vectors.`;
  }

  showWords() {
    find(".word-list", this.section).replaceChildren(...(this.found?.words ?? []).map((word) => card(word)));
  }
}

/** @param {Word} word */
function card({ word, norm, vector, neighbors }) {
  const rows = neighbors.map((neighbor) => {
    const track = make("span", { className: "track", "aria-hidden": "true" });
    track.style.setProperty("--share", String(Math.max(neighbor.cosine, 0)));
    return make("li", {}, make("span", { className: "label" }, neighbor.word), track, make("span", { className: "percent" }, fixed(neighbor.cosine)));
  });
  const size = `${vector.length} numbers, length ${norm.toFixed(2)}: ${vector.slice(0, 4).map(fixed).join(", ")}, …`;
  return make(
    "li",
    { className: "card" },
    make("h3", {}, word),
    strip(vector),
    make("p", { className: "hint" }, size),
    make("ol", { className: "bars", "aria-label": `Nearest words of ${word} by cosine` }, ...rows),
  );
}

/** A vector as colors, a column for each number. @param {number[]} vector */
function strip(vector) {
  const canvas = make("canvas", { className: "vector", width: vector.length, height: 1, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const sizes = vector.map(Math.abs).sort((a, b) => a - b);
  const largest = sizes[Math.floor(LARGEST_SHARE * (sizes.length - 1))] || 1;
  if (context === null) return canvas;
  vector.forEach((value, column) => {
    const [red, green, blue] = value < 0 ? [77, 139, 245] : [53, 181, 111];
    context.fillStyle = `rgb(${red} ${green} ${blue} / ${Math.min(Math.abs(value) / largest, 1)})`;
    context.fillRect(column, 0, 1, 1);
  });
  return canvas;
}
