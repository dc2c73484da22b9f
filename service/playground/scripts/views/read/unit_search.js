// Units that follow a marking of the text, named by the marking.

import { make } from "../../dom.js";
import { signed } from "../../format.js";
import { post } from "../../service.js";

/** @typedef {import("../../api_types.js").FoundUnit} FoundUnit */

/**
 * The markings that the service knows, with their names on the page, in the order of the list.
 * @type {{marking: string, name: string}[]}
 */
export const MARKINGS = [
  { marking: "line_position", name: "the position in the line" },
  { marking: "sentence_position", name: "the position in the sentence" },
  { marking: "word_position", name: "the position in the word" },
  { marking: "spaces", name: "spaces" },
  { marking: "capitals", name: "capital letters" },
  { marking: "speaker", name: "the name of the speaker" },
  { marking: "quotes", name: "text in quotes" },
  { marking: "brackets", name: "text in brackets" },
  { marking: "digits", name: "digits" },
];

/**
 * The unit that follows each marking most closely.
 * @param {string} model
 * @param {string} text
 * @param {AbortSignal} signal
 * @returns {Promise<{name: string, unit: FoundUnit}[]>} for each marking that the text has and a unit follows
 */
export async function findNamedUnits(model, text, signal) {
  const { markings } = await post("inspect/units", { model, text, marking: "all", top: 1 }, signal);
  return MARKINGS.flatMap(({ marking, name }) => {
    const unit = markings[marking]?.[0];
    return unit !== undefined && Math.abs(unit.correlation) >= 0.5 ? [{ name, unit }] : [];
  });
}

/**
 * @param {{model: string, text: string, marking: string | number[], top: number}} fields
 * @param {AbortSignal} signal
 * @returns {Promise<FoundUnit[]>}
 */
export async function searchUnits(fields, signal) {
  return (await post("inspect/units", fields, signal)).units;
}

/**
 * A marking with 1 for the characters of some tokens and 0 for all others.
 * @param {string[]} texts of all tokens
 * @param {number} first
 * @param {number} last
 */
export function markTokens(texts, first, last) {
  return texts.flatMap((text, index) => {
    const marked = index >= first && index <= last ? 1 : 0;
    return Array.from(text, () => marked); // by code points, as the service counts characters
  });
}

/**
 * A button that chooses a unit.
 * @param {FoundUnit} unit
 * @param {string} name what the unit follows; may be empty
 * @param {(unit: FoundUnit) => void} onChoose
 */
export function unitButton(unit, name, onChoose) {
  const button = make(
    "button",
    { type: "button", className: "unit" },
    make("span", { className: "unit-name" }, name || `layer ${unit.layer}, unit ${unit.unit}`),
    make("span", { className: "unit-place" }, name ? `layer ${unit.layer}, unit ${unit.unit}, ${unit.signal}` : unit.signal),
    make("span", { className: "unit-r" }, `r ${signed(unit.correlation)}`),
  );
  button.addEventListener("click", () => onChoose(unit));
  return make("li", {}, button);
}
