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

/** A power of ten: 1, 10⁻³. @param {number} power an integer */
export function powerOfTen(power) {
  if (power === 0) return "1";
  return `10${power < 0 ? "⁻" : ""}${superscript(Math.abs(power))}`;
}

/** @param {number} value not negative */
function superscript(value) {
  return String(value).replaceAll(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)]);
}

/** A number with three digits, as 0.812, 13.1 or 2.1 · 10⁻⁷. @param {number} value */
export function threeDigits(value) {
  if (value === 0) return "0";
  const power = Math.floor(Math.log10(Math.abs(value)));
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (power < -3 || power > 4) return `${minus((value / 10 ** power).toFixed(1))} · ${powerOfTen(power)}`;
  return minus(value.toFixed(Math.max(0, 2 - power)));
}

/** @param {string} text */
function minus(text) {
  return text.replace("-", "−");
}
