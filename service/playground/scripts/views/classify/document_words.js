// The words of a document, colored by what they contribute to the label.

import { make } from "../../dom.js";
import { signed } from "../../format.js";

/** @typedef {import("../../api_types.js").InspectedToken} InspectedToken */

/**
 * The document with its tokens marked. A classifier's tokens are lower-cased words without the spaces
 * between them, so that each is looked for in the document, from the one before on.
 * @param {string} text
 * @param {InspectedToken[]} tokens
 * @returns {(Node | string)[]}
 */
export function documentWords(text, tokens) {
  const strongest = Math.max(...tokens.map(({ contribution = 0 }) => Math.abs(contribution)), 1e-9);
  const lower = text.toLowerCase();
  const searchable = lower.length === text.length ? lower : text;
  /** @type {(Node | string)[]} */
  const parts = [];
  let position = 0;
  for (const [index, token] of tokens.entries()) {
    const start = searchable.indexOf(token.text.toLowerCase(), position);
    const end = start + token.text.length;
    if (start >= 0) parts.push(text.slice(position, start));
    const shown = start >= 0 ? text.slice(start, end) : ` ${token.text}`;
    if (start >= 0) position = end;
    parts.push(word(shown, index, token, strongest));
  }
  parts.push(text.slice(position));
  return parts;
}

/** @param {string} text @param {number} index @param {InspectedToken} token @param {number} strongest */
function word(text, index, { contribution = 0, unknown }, strongest) {
  const element = make("span", { className: `token ${contribution < 0 ? "low" : "high"}` }, text);
  element.dataset.index = String(index);
  if (unknown) element.classList.add("unknown");
  element.style.setProperty("--strength", Math.sqrt(Math.abs(contribution) / strongest).toFixed(3));
  element.title = unknown ? `${signed(contribution)}, not in the vocabulary` : signed(contribution);
  return element;
}
