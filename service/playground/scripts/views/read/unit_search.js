// Units that follow a marking of the text, named by the marking.

import { make } from "../../dom.js";
import { signed } from "../../format.js";
import { post, ServiceError } from "../../service.js";

/** @typedef {import("../../api_types.js").FoundUnit} FoundUnit */

/**
 * The markings that the service knows: their names on the page, and the texts that can have them.
 * @type {{marking: string, name: string, needs: RegExp}[]}
 */
export const MARKINGS = [
  { marking: "line_position", name: "the position in the line", needs: /\n/ },
  { marking: "sentence_position", name: "the position in the sentence", needs: /[.!?]/ },
  { marking: "word_position", name: "the position in the word", needs: /\w{2}/ },
  { marking: "spaces", name: "spaces", needs: / / },
  { marking: "capitals", name: "capital letters", needs: /\p{Lu}/u },
  { marking: "speaker", name: "the name of the speaker", needs: /^[^\n:]+:$/m },
  { marking: "quotes", name: "text in quotes", needs: /["“”«»]/ },
  { marking: "brackets", name: "text in brackets", needs: /[([{]/ },
  { marking: "digits", name: "digits", needs: /\d/ },
];

/**
 * The unit that follows each marking most closely.
 * @param {string} model
 * @param {string} text
 * @param {(name: string, unit: FoundUnit) => void} onFound called for each marking that the text has
 * @param {AbortSignal} signal
 */
export async function nameUnits(model, text, onFound, signal) {
  for (const { marking, name } of MARKINGS.filter(({ needs }) => needs.test(text))) {
    try {
      const [unit] = await searchUnits({ model, text, marking, top: 1 }, signal);
      if (unit !== undefined && Math.abs(unit.correlation) >= 0.5) onFound(name, unit);
    } catch (error) {
      const missing = error instanceof ServiceError && error.status === 422;
      if (!missing) throw error; // 422: the marking is the same at every token, so no unit can follow it
    }
  }
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
