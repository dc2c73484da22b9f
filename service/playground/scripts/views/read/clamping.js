// A unit or a gate held at a value, and the texts with and without.

import { curlCommand, showCurl } from "../../curl_command.js";
import { find, make } from "../../dom.js";
import { post } from "../../service.js";
import { Task } from "../../task.js";

const TOKENS = 180;

/** @typedef {import("../../api_types.js").GeneratedText} GeneratedText */

/** The form and its two texts. */
export class Clamping {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.task = new Task(find(".notice", root));
    /** @type {import("../../api_types.js").Unit | null} */
    this.unit = null;
    this.model = "";
    this.value = /** @type {HTMLInputElement} */ (find("#clamp-value", root));
    this.seed = /** @type {HTMLInputElement} */ (find("#clamp-seed", root));
    this.prompt = /** @type {HTMLTextAreaElement} */ (find("#clamp-prompt", root));
    this.signal = /** @type {HTMLSelectElement} */ (find("#clamp-signal", root));
    this.all = /** @type {HTMLInputElement} */ (find("#clamp-all", root));
    this.value.addEventListener("input", () => this.showValue());
    find("form", root).addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
  }

  /**
   * Chooses the unit and generates at once.
   * @param {string} model
   * @param {import("../../api_types.js").Unit & {correlation?: number}} unit
   * @param {string} text the text that was read; its first line is the prompt
   */
  choose(model, unit, text) {
    this.model = model;
    this.unit = unit;
    this.root.hidden = false;
    find(".unit-title", this.root).textContent = `Layer ${unit.layer}, unit ${unit.unit}`;
    this.signal.value = "hidden";
    this.all.checked = false;
    this.value.value = (unit.correlation ?? 1) < 0 ? "-1" : "1";
    this.prompt.value = text.split("\n")[0].slice(0, 120);
    this.showValue();
    this.run();
  }

  hide() {
    this.root.hidden = true;
    this.task.stop();
  }

  showValue() {
    find("output", this.root).textContent = Number(this.value.value).toFixed(1);
  }

  run() {
    if (this.unit === null) return;
    const { layer, unit } = this.unit;
    const fields = {
      model: this.model,
      prompt: this.prompt.value,
      clamp: [{ layer, ...(this.all.checked ? {} : { unit }), signal: this.signal.value, value: Number(this.value.value) }],
      max_tokens: TOKENS,
      temperature: 0.8,
      seed: Math.min(Math.max(Number(this.seed.value) || 0, 0), Number.MAX_SAFE_INTEGER),
    };
    showCurl(find(".curl", this.root), curlCommand("inspect/generate", fields));
    this.root.setAttribute("aria-busy", "true");
    this.task
      .run(async (signal) => {
        const { clamped, unclamped } = await post("inspect/generate", fields, signal);
        const shared = sharedTokens(clamped, unclamped);
        draw(find(".clamped", this.root), clamped, shared);
        draw(find(".unclamped", this.root), unclamped, shared);
        this.root.scrollIntoView({ block: "nearest" });
      })
      .finally(() => this.root.removeAttribute("aria-busy"));
  }
}

/** How many tokens the two texts begin with in common. @param {GeneratedText} first @param {GeneratedText} second */
function sharedTokens(first, second) {
  const different = first.tokens.findIndex((token, index) => token !== second.tokens[index]);
  return different < 0 ? first.tokens.length : different;
}

/** @param {HTMLElement} element @param {GeneratedText} generated @param {number} shared */
function draw(element, generated, shared) {
  const common = generated.tokens.slice(0, shared).join("");
  element.replaceChildren(make("span", { className: "shared" }, common), generated.text.slice(common.length));
}
