// A slider for each weight of the small network.

import { LETTERS, sigmoid } from "../../recurrence/cells.js";
import { make } from "../../dom.js";
import { fixed } from "../../format.js";

const LARGEST_WEIGHT = 3;
const LARGEST_GATE_BIAS = 8;
const NAMES = /** @type {Record<string, string>} */ ({
  g: "Candidate g",
  z: "Update gate z: the share of h that is kept",
  r: "Reset gate r",
  f: "Forget gate f: the share of c that is kept",
  i: "Input gate i",
  o: "Output gate o",
});

/**
 * One group for each part of the cell. A change is written into the settings.
 * @param {import("../../recurrence/settings.js").Settings} settings
 * @param {() => void} changed
 */
export function weightSliders(settings, changed) {
  return LETTERS[settings.cell].map((letter) => group(letter, settings, changed));
}

/**
 * @param {string} letter
 * @param {import("../../recurrence/settings.js").Settings} settings
 * @param {() => void} changed
 */
function group(letter, { cell, weights }, changed) {
  const { W_h, W_x, b } = weights[letter];
  const several = b.length > 1;
  const gate = letter !== "g";
  const subscript = cell === "gated" ? "" : letter;
  const places = (/** @type {number[]} */ ...indices) => (several ? indices.map((index) => index + 1).join("") : "");
  const recurrent = W_h.flatMap((row, unit) =>
    row.map((_, from) => slider(["W", `h${subscript && `,${subscript}`}`, places(unit, from)], letter, LARGEST_WEIGHT, row, from, changed)),
  );
  const read = W_x.map((_, unit) =>
    slider(["W", `x${subscript && `,${subscript}`}`, places(unit)], letter, LARGEST_WEIGHT, W_x, unit, changed),
  );
  const largest = gate ? LARGEST_GATE_BIAS : LARGEST_WEIGHT;
  const bias = b.map((_, unit) => slider(["b", subscript, places(unit)], letter, largest, b, unit, changed, gate));
  const legend = make("legend", {}, cell === "gated" ? "Weights" : NAMES[letter]);
  if (!gate) return make("fieldset", {}, legend, ...recurrent, ...read, ...bias);
  const more = make("details", {}, make("summary", {}, `Weights of ${letter}`), ...recurrent, ...read);
  return make("fieldset", {}, legend, ...bias, more);
}

/**
 * @param {[letter: string, subscript: string, place: string]} name
 * @param {string} part the letter of the part of the cell
 * @param {number} largest absolute value
 * @param {number[]} values
 * @param {number} index of the value that it sets
 * @param {() => void} changed
 * @param {boolean} [asGate] also shows the sigmoid of the value
 */
function slider([letter, subscript, place], part, largest, values, index, changed, asGate = false) {
  const output = make("output", {});
  const input = make("input", {
    type: "range",
    min: String(-largest),
    max: String(largest),
    step: "0.05",
    value: String(values[index]),
    "aria-label": `${letter}${subscript && `_${subscript}`}${place && ` ${place}`} of ${part}`,
  });
  const show = () => {
    output.textContent = asGate ? `${fixed(values[index])}: ${part} ≈ ${fixed(sigmoid(values[index]))}` : fixed(values[index]);
  };
  input.addEventListener("input", () => {
    values[index] = Number(input.value);
    show();
    changed();
  });
  show();
  const label = make("span", { className: "letter" }, letter, make("sub", {}, subscript));
  if (place) label.append(make("sup", {}, place));
  return make("label", { className: "weight" }, label, input, output);
}
