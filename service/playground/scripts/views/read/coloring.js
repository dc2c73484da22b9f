// The background of each token of a text.

import { fixed, visible } from "../../format.js";

const MOST_BITS = 10; // the strongest color of surprisal

/**
 * Colors tokens by surprisal.
 * @param {HTMLElement[]} elements
 * @param {import("../../api_types.js").InspectedToken[]} tokens
 */
export function colorBySurprisal(elements, tokens) {
  elements.forEach((element, index) => {
    const bits = tokens[index].surprisal_bits ?? 0;
    setColor(element, "surprising", Math.min(bits / MOST_BITS, 1));
    element.setAttribute("aria-label", `${visible(tokens[index].text)}, ${bits.toFixed(1)} bits`);
  });
}

/**
 * Colors tokens by values: blue for negative ones, green for positive ones.
 * @param {HTMLElement[]} elements
 * @param {import("../../api_types.js").InspectedToken[]} tokens
 * @param {number[]} values
 * @param {number} scale the absolute value of the strongest color
 */
export function colorByValue(elements, tokens, values, scale) {
  elements.forEach((element, index) => {
    const value = values[index];
    setColor(element, value < 0 ? "low" : "high", Math.min(Math.abs(value) / scale, 1));
    element.setAttribute("aria-label", `${visible(tokens[index].text)}, ${fixed(value)}`);
  });
}

/** @param {HTMLElement} element @param {"surprising" | "low" | "high"} color @param {number} strength 0 to 1 */
function setColor(element, color, strength) {
  element.classList.remove("surprising", "low", "high");
  element.classList.add(color);
  element.style.setProperty("--strength", strength.toFixed(3));
}

/**
 * The legend of a coloring.
 * @param {HTMLElement} legend
 * @param {"surprisal" | "value"} kind
 * @param {number} [scale]
 */
export function showLegend(legend, kind, scale = 1) {
  legend.dataset.kind = kind;
  const [low, high] = legend.querySelectorAll("span");
  low.textContent = kind === "surprisal" ? "expected" : `−${scale.toFixed(scale < 10 ? 1 : 0)}`;
  high.textContent = kind === "surprisal" ? `${MOST_BITS} bits` : `+${scale.toFixed(scale < 10 ? 1 : 0)}`;
}
