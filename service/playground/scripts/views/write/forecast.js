// The list of next words under the caret.

import { find, make } from "../../dom.js";
import { percent } from "../../format.js";
import { SHOWN } from "./next_words.js";

/** @typedef {import("./next_words.js").Candidate} Candidate */

/** Nine rows that keep their place, so that the bars move when the distribution changes. */
export class Forecast {
  /**
   * @param {HTMLElement} root
   * @param {(candidate: Candidate) => void} onAccept
   */
  constructor(root, onAccept) {
    this.root = root;
    /** @type {Candidate[]} */
    this.candidates = [];
    this.rows = Array.from({ length: SHOWN }, (_, index) => {
      const row = make("button", { type: "button", tabIndex: -1, className: "forecast-row" });
      row.append(
        make("kbd", {}, String(index + 1)),
        make("span", { className: "label" }, make("b"), make("span")),
        make("span", { className: "track", "aria-hidden": "true" }),
        make("span", { className: "percent" }),
      );
      row.addEventListener("pointerdown", (event) => event.preventDefault()); // the caret stays
      row.addEventListener("click", () => onAccept(this.candidates[index]));
      return row;
    });
    find("ol", root).append(...this.rows.map((row) => make("li", {}, row)));
  }

  get shown() {
    return !this.root.hidden;
  }

  /** @param {Candidate[]} candidates */
  show(candidates) {
    this.candidates = candidates;
    this.root.hidden = candidates.length === 0;
    const scale = Math.max(...candidates.map(({ probability }) => probability), 1e-9);
    this.rows.forEach((row, index) => {
      const candidate = candidates[index];
      /** @type {HTMLElement} */ (row.parentElement).hidden = candidate === undefined;
      if (candidate === undefined) return;
      find("b", row).textContent = candidate.typed;
      find(".label span", row).textContent = candidate.word.slice(candidate.typed.length);
      find(".track", row).style.setProperty("--share", String(candidate.probability / scale));
      find(".percent", row).textContent = percent(candidate.probability);
    });
  }

  hide() {
    this.root.hidden = true;
  }

  /** The three likeliest words, for a screen reader. */
  summary() {
    const words = this.candidates.slice(0, 3);
    return words.map(({ word, probability }) => `${word}, ${percent(probability)}`).join("; ");
  }
}
