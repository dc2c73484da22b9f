// Several continuations of one text side by side.

import { find, make, oncePerFrame } from "../../dom.js";
import { continueText } from "./continuation.js";

/** @typedef {import("./continuation.js").GeneratedToken} GeneratedToken */

/** Columns of continuations, each of which can become the text. */
export class Forks {
  /**
   * @param {HTMLElement} root
   * @param {(tokens: GeneratedToken[]) => void} onKeep
   */
  constructor(root, onKeep) {
    this.root = root;
    this.onKeep = onKeep;
    /** @type {import("../../task.js").Task | null} */
    this.task = null;
  }

  /**
   * @param {ReturnType<typeof import("./continuation.js").continuationFields>} fields
   * @param {import("../../task.js").Task} task
   */
  async start(fields, task) {
    this.clear();
    this.task = task;
    const n = "n" in fields ? Number(fields.n) : 1;
    /** @type {GeneratedToken[][]} */
    const branches = Array.from({ length: n }, () => []);
    const cards = branches.map((tokens, index) => this.card(tokens, index));
    this.root.replaceChildren(...cards);
    const drawSoon = oncePerFrame(() => {
      cards.forEach((card, index) => {
        find("p", card).textContent = branches[index].map(({ text }) => text).join("").trimStart();
      });
    });
    await task.run(async (signal) => {
      await continueText(
        fields,
        (index, tokens) => {
          branches[index].push(...tokens);
          drawSoon();
        },
        signal,
      );
    });
  }

  stop() {
    this.task?.stop();
  }

  clear() {
    this.root.replaceChildren();
  }

  /** @param {GeneratedToken[]} tokens @param {number} index */
  card(tokens, index) {
    const keep = make("button", { type: "button" }, "Keep this one");
    keep.addEventListener("click", () => {
      const kept = [...tokens];
      this.clear();
      this.onKeep(kept);
    });
    const heading = make("h3", {}, `Continuation ${index + 1}`);
    return make("article", { className: "card" }, make("header", {}, heading, keep), make("p", { className: "passage" }));
  }
}
