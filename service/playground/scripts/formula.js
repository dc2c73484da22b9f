// Formulas as text with subscripts: "W_h h + b_{out}".

import { make } from "./dom.js";

/**
 * The nodes of a formula. A letter after "_", or what stands in braces after it, becomes a subscript.
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function formula(text) {
  return text
    .split(/(_\{[^}]*\}|_[A-Za-z0-9])/)
    .filter((part) => part !== "")
    .map((part) => (part.startsWith("_") ? make("sub", {}, part.replace(/^_\{?|\}$/g, "")) : part));
}
