// A text area whose text is drawn by a layer above it.
//
// The layer holds the same text with a mark at the caret, which says where to place the list of next
// words, and after the text the generated tokens, which a text area cannot show.

import { find } from "../../dom.js";

const CLOSING = /^[.,;:!?)\]]$/;

/** The text, its caret, and the layer that draws it. */
export class Editor {
  /**
   * @param {HTMLElement} root
   * @param {() => void} onChange called when the text or the caret has changed
   */
  constructor(root, onChange) {
    this.root = root;
    /** @type {HTMLTextAreaElement} */
    this.area = find("textarea", root);
    this.before = find(".before-caret", root);
    this.mark = find(".caret-mark", root);
    this.after = find(".after-caret", root);
    this.spaceAdded = false;
    this.area.addEventListener("beforeinput", (event) => this.dropAddedSpace(event));
    this.area.addEventListener("input", () => {
      this.spaceAdded = false;
      this.draw();
      onChange();
    });
    document.addEventListener("selectionchange", () => {
      if (document.activeElement !== this.area || this.drawnCaret === this.area.selectionEnd) return;
      this.draw();
      onChange();
    });
    this.drawnCaret = -1;
    this.draw();
  }

  get text() {
    return this.area.value;
  }

  /** Replaces the text; the caret goes to its end. @param {string} text */
  set text(text) {
    this.area.value = text;
    this.area.setSelectionRange(text.length, text.length);
    this.draw();
  }

  get textBeforeCaret() {
    return this.area.value.slice(0, this.area.selectionEnd);
  }

  /** Inserts a word at the caret, and a space that a following punctuation mark replaces. @param {string} text */
  insertWord(text) {
    const followed = /^\s/.test(this.area.value.slice(this.area.selectionEnd));
    const { selectionStart, selectionEnd } = this.area;
    this.area.setRangeText(followed ? text : `${text} `, selectionStart, selectionEnd, "end");
    this.spaceAdded = !followed;
    this.draw();
  }

  /** @param {InputEvent} event */
  dropAddedSpace(event) {
    if (!this.spaceAdded || !CLOSING.test(event.data ?? "")) return;
    const caret = this.area.selectionEnd;
    this.area.setRangeText("", caret - 1, caret, "end");
  }

  draw() {
    const caret = this.area.selectionEnd;
    this.before.textContent = this.area.value.slice(0, caret);
    this.after.textContent = this.area.value.slice(caret);
    this.drawnCaret = caret;
  }

  /** Places a box under the caret, inside the width of the editor. @param {HTMLElement} box */
  placeUnderCaret(box) {
    const editor = this.root.getBoundingClientRect();
    const caret = this.mark.getBoundingClientRect();
    const left = Math.min(caret.left - editor.left, editor.width - box.offsetWidth - 12);
    const top = caret.bottom - editor.top + 6;
    box.style.transform = `translate(${Math.max(12, left)}px, ${top}px)`;
    this.root.style.minHeight = `${top + box.offsetHeight + 16}px`;
  }
}
