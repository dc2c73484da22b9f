// Numbers as people read them.

/** @param {number} probability 0 to 1 */
export function percent(probability) {
  if (probability > 0 && probability < 0.001) return "<0.1 %";
  const digits = probability < 0.1 || (probability > 0.99 && probability < 1) ? 1 : 0;
  return `${(100 * probability).toFixed(digits)} %`;
}

/** @param {number} bits */
export function inBits(bits) {
  return `${bits.toFixed(1)} ${bits.toFixed(1) === "1.0" ? "bit" : "bits"}`;
}

/** @param {number} milliseconds */
export function inMilliseconds(milliseconds) {
  return milliseconds < 10 ? `${milliseconds.toFixed(1)} ms` : `${Math.round(milliseconds)} ms`;
}

/** @param {number} value @param {string} noun singular */
export function count(value, noun) {
  return `${grouped(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** @param {number} value */
export function grouped(value) {
  return value.toLocaleString("en-US");
}

/** A number with a minus sign instead of a hyphen. @param {number} value */
export function fixed(value) {
  return value.toFixed(2).replace("-", "−");
}

/** A number with its sign. @param {number} value @param {number} [digits] */
export function signed(value, digits = 2) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
}

/** A token as a label: without the space before a word; line ends become visible. @param {string} text */
export function visible(text) {
  if (text === " ") return "space";
  return text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replace(/^ (?=\S)/, "");
}
