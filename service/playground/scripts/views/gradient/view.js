// Gradient: the loss of one word of a sentence, and its gradient at each word before it.

import { curlCommand, showCurl } from "../../curl_command.js";
import { afterPause, find, make } from "../../dom.js";
import { percent, threeDigits, visible } from "../../format.js";
import { remember } from "../../link.js";
import { fillModels, onExample } from "../../model_menu.js";
import { post } from "../../service.js";
import { NoticeError, Task } from "../../task.js";
import { TokenList } from "../../token_list.js";
import { gradientBars, products } from "./chart.js";

/**
 * @typedef {import("../../api_types.js").Model} Model
 * @typedef {{target: string, logprob: number, tokens: import("./chart.js").Token[]}} Influence
 */

/** The view, in its section of the page. */
export class GradientView {
  /**
   * @param {HTMLElement} section
   * @param {Model[]} models
   */
  constructor(section, models) {
    this.section = section;
    this.models = fillModels(find("#gradient-model", section), models, "language-model", "english-word");
    this.others = models.filter(({ kind }) => kind === "language-model");
    this.task = new Task(find(".notice", section));
    this.input = /** @type {HTMLInputElement} */ (find("#gradient-text", section));
    /** The index of the predicted token; the last one without. @type {number | undefined} */
    this.target = undefined;
    /** @type {Set<string>} names of further models */
    this.compared = new Set();
    this.list = new TokenList(find(".sentence-tokens", section), {
      onPoint: () => {},
      onLeave: () => {},
      onPick: (index) => this.predict(index),
    });
    const readSoon = afterPause(150, () => this.read());
    this.input.addEventListener("input", () => {
      this.target = undefined;
      readSoon();
    });
    this.models.onChange(() => {
      this.target = undefined;
      this.showOthers();
      this.read();
    });
    onExample(section, ({ model = "", text = "" }) => {
      this.models.choose(model);
      this.input.value = text;
      this.target = undefined;
      this.showOthers();
      this.read();
    });
  }

  /** Shows the state of a link. @param {URLSearchParams} parameters */
  open(parameters) {
    this.models.choose(parameters.get("model"));
    this.input.value = parameters.get("text") ?? this.input.value;
    const target = Number(parameters.get("target") ?? Number.NaN);
    this.target = Number.isInteger(target) && target > 0 ? target : undefined;
    const names = (parameters.get("compared") ?? "").split(",");
    this.compared = new Set(this.others.map(({ name }) => name).filter((name) => names.includes(name)));
    this.showOthers();
    this.read();
  }

  /** Shows the view as it was left. */
  resume() {
    this.read();
  }

  close() {
    this.task.stop();
  }

  /** A box for each model that can stand beside the chosen one. */
  showOthers() {
    const names = this.others.map(({ name }) => name).filter((name) => name !== this.models.current.name);
    const boxes = names.map((name) => {
      const box = make("input", { type: "checkbox", checked: this.compared.has(name) });
      box.addEventListener("change", () => {
        if (box.checked) this.compared.add(name);
        else this.compared.delete(name);
        this.read();
      });
      return make("label", { className: "check" }, box, ` ${name}`);
    });
    const group = find(".compared", this.section);
    group.hidden = boxes.length === 0;
    find(".compared-boxes", this.section).replaceChildren(...boxes);
  }

  /** @param {number} index of the token to predict */
  predict(index) {
    if (index === 0) return;
    this.target = index;
    this.read();
  }

  read() {
    if (this.section.hidden) return;
    const model = this.models.current.name;
    const text = this.input.value;
    const shown = [model, ...[...this.compared].filter((name) => name !== model)];
    remember("gradient", { model, text, target: this.target, compared: shown.slice(1).join(",") });
    this.task.run(async (signal) => {
      if (text.trim() === "") throw new NoticeError("Write a sentence.");
      const { tokens } = await post("inspect", { model, text, layers: [], top: 0 }, signal);
      /** @type {string[]} */
      const texts = tokens.map((/** @type {{text: string}} */ token) => token.text);
      if (texts.length < 2) throw new NoticeError("Write a sentence of at least two tokens.");
      const target = Math.min(this.target ?? texts.length - 1, texts.length - 1);
      this.showTokens(tokens, target);
      const fields = { text: texts.slice(0, target).join(""), target: texts[target] };
      showCurl(find(".curl", this.section), curlCommand("inspect/influence", { model, ...fields }));
      /** @type {Influence[]} */
      const influences = await Promise.all(shown.map((name) => post("inspect/influence", { model: name, ...fields }, signal)));
      find(".gradients", this.section).replaceChildren(...influences.map((influence, index) => this.panel(shown[index], influence)));
    });
  }

  /** @param {import("../../api_types.js").InspectedToken[]} tokens @param {number} target */
  showTokens(tokens, target) {
    if (this.list.elements.map((element) => element.textContent).join("") !== tokens.map(({ text }) => text).join("")) {
      this.list.replace(tokens.map(({ text }) => text));
    }
    this.list.elements.forEach((element, index) => {
      element.setAttribute("aria-selected", String(index === target));
      element.classList.toggle("after-target", index > target);
      element.classList.toggle("unknown", tokens[index].unknown === true);
    });
    const unknown = tokens.filter((token) => token.unknown).map(({ text }) => visible(text));
    const warning = find(".unknown-words", this.section);
    warning.hidden = unknown.length === 0;
    warning.textContent = `Outside the vocabulary, all read as one unknown word: ${unknown.join(", ")}.`;
  }

  /** @param {string} name @param {Influence} influence */
  panel(name, { target, logprob, tokens }) {
    const { cell, layers, hidden } = this.others.find((model) => model.name === name)?.architecture ?? {};
    const title = make("h3", {}, `${name}, ${String(cell).toUpperCase()} ${layers} × ${hidden}`);
    const loss = `−log p(${visible(target)}) = ${(-logprob).toFixed(2)}, p = ${percent(Math.exp(logprob))}. `;
    const reached = products(tokens)[0];
    const first = visible(tokens[0].text);
    const share = `Of the gradient at the last state, ${threeDigits(reached)} reaches the state after “${first}”.`;
    const label = `Gradient of ${name}`;
    const box = make("div", { className: "bars-box surface", tabIndex: 0, role: "region", "aria-label": label }, gradientBars(tokens, target));
    return make("article", {}, title, make("p", { className: "loss" }, loss, share), box);
  }
}
