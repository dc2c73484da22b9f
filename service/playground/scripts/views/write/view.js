// Write: type with the next words under the caret, stream continuations, choose among alternatives.

import { showCurl, curlCommand } from "../../curl_command.js";
import { afterPause, find, make, oncePerFrame } from "../../dom.js";
import { FloatingPanel } from "../../floating_panel.js";
import { grouped, inMilliseconds } from "../../format.js";
import { remember } from "../../link.js";
import { fillModels, onExample } from "../../model_menu.js";
import { Task } from "../../task.js";
import { TokenList } from "../../token_list.js";
import { alternativesPanel, choicesOf, spokenAlternatives } from "./alternatives.js";
import { continuationFields, continueText } from "./continuation.js";
import { Editor } from "./editor.js";
import { Forecast } from "./forecast.js";
import { Forks } from "./forks.js";
import { nextWords, nextWordsFields } from "./next_words.js";

/** @typedef {import("./continuation.js").GeneratedToken} GeneratedToken */

/** The view, in its section of the page. */
export class WriteView {
  /**
   * @param {HTMLElement} section
   * @param {import("../../api_types.js").Model[]} models
   */
  constructor(section, models) {
    this.section = section;
    this.models = fillModels(find("select", section), models, "language-model", "shakespeare-char");
    this.editor = new Editor(find(".editor", section), () => this.handleChange());
    this.forecast = new Forecast(find(".forecast", section), (chosen) => this.accept(chosen));
    this.panel = new FloatingPanel(find("#write-panel"));
    this.notice = new Task(find(".notice", section));
    this.prediction = new Task(find(".notice", section));
    this.forks = new Forks(find(".forks", section), (tokens) => this.keepFork(tokens));
    /** @type {GeneratedToken[]} */
    this.tokens = [];
    this.list = new TokenList(find(".generated", section), {
      onPoint: (index, element) => this.showAlternatives(index, element),
      onLeave: () => this.panel.hideSoon(),
      onPick: () => /** @type {HTMLElement} */ (find("button:enabled", this.panel.element)).focus(),
      onKey: (event, index) => this.pickByDigit(event, index),
    });
    this.temperature = /** @type {HTMLInputElement} */ (find("#write-temperature", section));
    this.predictSoon = oncePerFrame(() => this.predict());
    this.announceSoon = afterPause(800, () => this.announce());
    this.listVisible = true;
    this.connectControls();
  }

  /** Shows the state of a link. @param {URLSearchParams} parameters */
  open(parameters) {
    this.models.choose(parameters.get("model"));
    this.temperature.value = parameters.get("temperature") ?? "0.8";
    this.showTemperature();
    const text = parameters.get("text");
    this.editor.text = text ?? this.editor.text;
    this.drop();
    this.focus();
    this.listVisible = true;
    this.predictSoon();
    this.update();
  }

  /** Shows the view as it was left. */
  resume() {
    this.update();
    this.focus();
  }

  /** Puts the caret into the text, except where that would open a keyboard on the screen. */
  focus() {
    if (matchMedia("(pointer: fine)").matches) this.editor.area.focus({ preventScroll: true });
  }

  close() {
    this.notice.stop();
    this.prediction.stop();
  }

  connectControls() {
    const on = (/** @type {string} */ selector, /** @type {() => void} */ action) =>
      find(selector, this.section).addEventListener("click", action);
    on(".continue", () => this.start());
    on(".stop", () => this.stop());
    on(".fork", () => this.fork());
    on(".keep", () => this.keep());
    on(".clear", () => this.clear());
    this.editor.area.addEventListener("keydown", (event) => this.handleKey(event));
    this.temperature.addEventListener("input", () => {
      this.showTemperature();
      this.update();
    });
    this.models.onChange(() => {
      this.drop();
      this.predictSoon();
      this.update();
    });
    onExample(this.section, ({ model = "", text = "" }) => {
      this.models.choose(model);
      this.editor.text = text;
      this.drop();
      this.update();
      this.start();
    });
  }

  get text() {
    return this.editor.text + this.tokens.map(({ text }) => text).join("");
  }

  handleChange() {
    if (this.tokens.length > 0 && this.editor.text !== this.prompt) this.drop();
    if (/[\p{L}\s]$/u.test(this.editor.textBeforeCaret)) this.listVisible = true;
    this.predictSoon();
    this.update();
  }

  /** @param {KeyboardEvent} event */
  handleKey(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.start();
    } else if (event.key === "Escape") {
      this.listVisible = false;
      this.hideForecast();
      this.stop();
    } else if (this.forecast.shown && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const index = event.key === "Tab" && !event.shiftKey ? 0 : "123456789".indexOf(event.key);
      const chosen = this.forecast.candidates[index];
      if (chosen === undefined) return;
      event.preventDefault();
      this.accept(chosen);
    }
  }

  /** @param {import("./next_words.js").Candidate} chosen */
  accept(chosen) {
    this.editor.insertWord(chosen.insertion);
    this.handleChange();
  }

  /** Asks for the next words and draws them under the caret. */
  predict() {
    if (this.tokens.length > 0 || !this.listVisible) {
      this.hideForecast();
      return;
    }
    const text = this.editor.textBeforeCaret;
    const asked = performance.now();
    this.prediction.run(async (signal) => {
      const candidates = await nextWords(this.models.current, text, signal);
      if (signal.aborted || this.notice.running) return;
      this.forecast.show(candidates);
      this.editor.placeUnderCaret(this.forecast.root);
      performance.measure("forecast", { start: asked });
      find(".forecast-time", this.section).textContent = inMilliseconds(performance.now() - asked);
      this.announceSoon();
    });
    showCurl(
      find(".curl", this.section),
      curlCommand("next-word", nextWordsFields(this.models.current, text)),
    );
  }

  hideForecast() {
    this.forecast.hide();
    this.editor.root.style.minHeight = "";
  }

  announce() {
    if (this.forecast.shown) find(".spoken", this.section).textContent = this.forecast.summary();
  }

  /** Streams a continuation of the text and the tokens generated so far. @param {number} [seed] */
  start(seed) {
    this.hideForecast();
    this.forks.clear();
    this.prompt = this.editor.text;
    const sampling = { temperature: Number(this.temperature.value), seed };
    const fields = continuationFields(this.models.current.name, this.text, sampling);
    showCurl(find(".curl", this.section), curlCommand("generate", fields, "-N"));
    const drawSoon = oncePerFrame(() => this.draw());
    this.setStreaming(true);
    this.notice
      .run(async (signal) => {
        const figures = await continueText(
          fields,
          (_, tokens) => {
            this.tokens.push(...tokens);
            drawSoon();
          },
          signal,
        );
        this.showFigures(figures);
      })
      .finally(() => {
        if (this.notice.running) return; // another one has taken over
        this.draw();
        this.setStreaming(false);
      });
  }

  stop() {
    if (this.notice.running) this.notice.stop();
    this.forks.stop();
    this.setStreaming(false);
  }

  fork() {
    this.stop();
    this.keep();
    this.hideForecast();
    const sampling = { temperature: Number(this.temperature.value), n: 3 };
    const fields = continuationFields(this.models.current.name, this.text, sampling);
    showCurl(find(".curl", this.section), curlCommand("generate", fields, "-N"));
    this.setStreaming(true);
    this.forks.start(fields, this.notice).then(() => this.setStreaming(false));
  }

  /** @param {GeneratedToken[]} tokens */
  keepFork(tokens) {
    this.stop();
    this.prompt = this.editor.text;
    this.tokens = tokens;
    this.list.replace([]);
    this.draw();
    this.update();
  }

  /** Makes the generated tokens part of the text. */
  keep() {
    this.stop();
    this.editor.text = this.text;
    this.drop();
    this.editor.area.focus();
    this.predictSoon();
    this.update();
  }

  clear() {
    this.stop();
    this.editor.text = "";
    this.drop();
    this.editor.area.focus();
    this.listVisible = true;
    this.handleChange();
  }

  /** Removes the generated tokens. */
  drop() {
    this.stop();
    this.tokens = [];
    this.list.replace([]);
    this.forks.clear();
    find(".figures", this.section).replaceChildren();
    find(".keep", this.section).hidden = true;
  }

  draw() {
    const drawn = this.list.elements.length;
    if (drawn > this.tokens.length) this.list.truncate(this.tokens.length);
    else this.list.append(this.tokens.slice(drawn).map(({ text }) => text));
    find(".keep", this.section).hidden = this.tokens.length === 0;
    this.update();
  }

  /** @param {number} index @param {HTMLElement} element */
  showAlternatives(index, element) {
    const token = this.tokens[index];
    if (token === undefined || token.top.length === 0) return;
    element.setAttribute("aria-label", spokenAlternatives(token));
    this.panel.show(element, ...alternativesPanel(token, (choice) => this.goOnWith(index, choice)));
  }

  /** @param {KeyboardEvent} event @param {number} index */
  pickByDigit(event, index) {
    if (event.key === "Escape") this.panel.hide();
    const choice = choicesOf(this.tokens[index])["1234567890".indexOf(event.key)];
    if (choice !== undefined && choice.text !== this.tokens[index].text) this.goOnWith(index, choice);
  }

  /** Puts another token in the place of one and generates from there. @param {number} index @param {GeneratedToken} choice */
  goOnWith(index, choice) {
    this.stop();
    this.panel.hide();
    this.tokens = [...this.tokens.slice(0, index), choice];
    this.list.truncate(index);
    this.draw();
    this.list.elements[index].classList.add("chosen");
    this.start();
  }

  /** @param {boolean} streaming */
  setStreaming(streaming) {
    find(".stop", this.section).hidden = !streaming;
    find(".continue", this.section).hidden = streaming;
    this.section.classList.toggle("streaming", streaming);
  }

  showTemperature() {
    find("output", this.section).textContent = Number(this.temperature.value).toFixed(1);
  }

  /** @param {import("./continuation.js").Figures} figures */
  showFigures(figures) {
    const entries = [
      ["First token", inMilliseconds(figures.firstTokenMs)],
      ["Tokens per second", grouped(Math.round(figures.tokensPerSecond))],
      ["Prompt tokens from the cache", `${figures.cachedTokens} of ${figures.promptTokens}`],
      ["Seed", String(figures.seed)],
      ["Ended by", figures.finishReason],
    ];
    find(".figures", this.section).replaceChildren(
      ...entries.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
    );
  }

  update() {
    if (this.section.hidden) return;
    remember("write", {
      model: this.models.current.name,
      temperature: this.temperature.value,
      text: this.text,
    });
  }
}
