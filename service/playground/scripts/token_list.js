// Tokens as a list box inside running text: one tab stop, arrow keys between tokens.

import { make } from "./dom.js";
import { visible } from "./format.js";

/**
 * @typedef {object} TokenListOptions
 * @property {(index: number, element: HTMLElement) => void} onPoint a token is hovered or focused
 * @property {() => void} onLeave no token is hovered or focused
 * @property {(index: number, element: HTMLElement, event: Event) => void} [onPick] click or Enter
 * @property {(event: KeyboardEvent, index: number) => void} [onKey] any other key on a token
 * @property {(first: number, last: number) => void} [onSelect] Shift with arrow keys selects
 */

/** Draws tokens and moves the focus among them. */
export class TokenList {
  /**
   * @param {HTMLElement} container
   * @param {TokenListOptions} options
   */
  constructor(container, options) {
    this.container = container;
    this.options = options;
    /** @type {HTMLElement[]} */
    this.elements = [];
    this.current = 0;
    this.anchor = 0; // where a selection with Shift began
    this.end = -1; // where it has come to
    container.addEventListener("pointerover", (event) => this.point(event.target));
    container.addEventListener("pointerleave", () => options.onLeave());
    container.addEventListener("focusin", (event) => this.point(event.target));
    container.addEventListener("focusout", () => options.onLeave());
    container.addEventListener("keydown", (event) => this.handleKey(event));
    container.addEventListener("click", (event) => {
      const index = this.indexOf(event.target);
      if (index >= 0) options.onPick?.(index, this.elements[index], event);
    });
  }

  /** @param {string[]} texts */
  replace(texts) {
    this.elements = [];
    this.current = 0;
    this.container.replaceChildren();
    this.append(texts);
  }

  /** @param {string[]} texts */
  append(texts) {
    const first = this.elements.length;
    const added = texts.map((text, offset) => tokenElement(text, first + offset));
    this.elements.push(...added);
    this.container.append(...added);
    this.container.hidden = this.elements.length === 0;
    if (first === 0 && added.length > 0) added[0].tabIndex = 0;
  }

  /** Removes the tokens from `length` on. @param {number} length */
  truncate(length) {
    for (const element of this.elements.splice(length)) element.remove();
    if (this.current >= length) this.current = 0;
    if (length > 0) this.elements[this.current].tabIndex = 0;
    this.container.hidden = length === 0;
  }

  /** The index of the token that an event's target lies in; -1 if none. @param {EventTarget | null} target */
  indexOf(target) {
    const element = target instanceof Element ? target.closest(".token") : null;
    return element instanceof HTMLElement ? Number(element.dataset.index) : -1;
  }

  /** @param {EventTarget | null} target */
  point(target) {
    const index = this.indexOf(target);
    if (index >= 0) this.options.onPoint(index, this.elements[index]);
  }

  /** @param {KeyboardEvent} event */
  handleKey(event) {
    const index = this.indexOf(event.target);
    if (index < 0) return;
    const next = this.destination(event.key, index);
    if (next !== null) {
      event.preventDefault();
      if (!event.shiftKey) this.anchor = next;
      else if (index !== this.end) this.anchor = index;
      this.end = next;
      this.focus(next);
      if (event.shiftKey) {
        this.options.onSelect?.(Math.min(this.anchor, next), Math.max(this.anchor, next));
      }
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.options.onPick?.(index, this.elements[index], event);
    } else {
      this.options.onKey?.(event, index);
    }
  }

  /** @param {number} index */
  focus(index) {
    this.elements[this.current].tabIndex = -1;
    this.current = index;
    this.elements[index].tabIndex = 0;
    this.elements[index].focus();
  }

  /**
   * The token that a key moves to; null if the key does not move.
   * @param {string} key
   * @param {number} index
   */
  destination(key, index) {
    const last = this.elements.length - 1;
    if (key === "ArrowRight") return Math.min(index + 1, last);
    if (key === "ArrowLeft") return Math.max(index - 1, 0);
    if (key === "Home") return 0;
    if (key === "End") return last;
    if (key === "ArrowDown") return this.onOtherLine(index, 1);
    if (key === "ArrowUp") return this.onOtherLine(index, -1);
    return null;
  }

  /**
   * The nearest token of the line above or below.
   * @param {number} index
   * @param {1 | -1} direction
   */
  onOtherLine(index, direction) {
    const from = this.elements[index].getBoundingClientRect();
    let line = null;
    let nearest = index;
    let distance = Infinity;
    for (let i = index + direction; i >= 0 && i < this.elements.length; i += direction) {
      const box = this.elements[i].getBoundingClientRect();
      if (Math.abs(box.top - from.top) < from.height / 2) continue;
      line ??= box.top;
      if (Math.abs(box.top - line) > from.height / 2) break;
      if (Math.abs(box.left - from.left) < distance) {
        distance = Math.abs(box.left - from.left);
        nearest = i;
      }
    }
    return nearest;
  }
}

/** @param {string} text @param {number} index */
function tokenElement(text, index) {
  const element = make("span", { className: "token", role: "option", tabIndex: -1 });
  element.dataset.index = String(index);
  element.setAttribute("aria-selected", "false");
  if (text.trim() === "") element.setAttribute("aria-label", visible(text));
  for (const part of text.split(/([ \n\t])/)) {
    if (part === " ") element.append(make("span", { className: "space" }, part));
    else if (part === "\n") element.append(make("span", { className: "line-end" }), part);
    else if (part !== "") element.append(part);
  }
  return element;
}
