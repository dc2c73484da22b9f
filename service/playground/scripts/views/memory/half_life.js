// For how many tokens a difference lasts.

/**
 * The first step from which on the values stay at or below half of the first one; null if they
 * never do. Without a difference at the start it is null as well.
 * @param {number[]} values not negative, the first one before any common token
 * @returns {number | null}
 */
export function halfLife(values) {
  if (values[0] === 0) return null;
  let step = values.length;
  while (step > 0 && values[step - 1] <= values[0] / 2) step -= 1;
  return step < values.length ? step : null;
}

/**
 * @typedef {object} UnitMemory
 * @property {number} layer
 * @property {number} unit
 * @property {number} first difference after the two texts
 * @property {number} last difference after the continuation
 * @property {number | null} halfLife
 */

/**
 * The units that differ most after the continuation.
 * @param {Float32Array} one hidden values in the order of tokens, layers, units
 * @param {Float32Array} other of the same size
 * @param {{steps: number, layers: number, hidden: number}} shape steps: those before and after each common token
 * @param {number} count
 * @returns {UnitMemory[]}
 */
export function lastingUnits(one, other, { steps, layers, hidden }, count) {
  const size = layers * hidden;
  /** @type {UnitMemory[]} */
  const units = [];
  for (let index = 0; index < size; index += 1) {
    const values = Array.from({ length: steps }, (_, step) => Math.abs(one[step * size + index] - other[step * size + index]));
    const [layer, unit] = [Math.floor(index / hidden), index % hidden];
    units.push({ layer, unit, first: values[0], last: values[steps - 1], halfLife: halfLife(values) });
  }
  return units.sort((a, b) => b.last - a.last).slice(0, count);
}
