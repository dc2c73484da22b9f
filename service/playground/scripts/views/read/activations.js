// The hidden and cell values of all units at all tokens of a text.

import { decodeFloat16 } from "../../float16.js";

/** @typedef {"hidden" | "cell"} Signal */

/** Values by token, layer and unit. */
export class Activations {
  /** @param {Record<string, import("../../api_types.js").EncodedArray>} arrays */
  constructor(arrays) {
    const [tokens, layers, units] = arrays.hidden.shape;
    this.tokens = tokens;
    this.layers = layers;
    this.units = units;
    /** @type {Map<string, Float32Array>} */
    this.values = new Map();
    for (const [signal, array] of Object.entries(arrays)) this.values.set(signal, decodeFloat16(array));
  }

  /** The signals there are: GRU and Elman networks have no cell. @returns {Signal[]} */
  get signals() {
    return /** @type {Signal[]} */ (["hidden", "cell"].filter((signal) => this.values.has(signal)));
  }

  /**
   * @param {Signal} signal
   * @param {number} token
   * @param {number} layer
   * @param {number} unit
   */
  at(signal, token, layer, unit) {
    const values = this.values.get(signal);
    return values === undefined ? 0 : values[(token * this.layers + layer) * this.units + unit];
  }

  /** One unit over the text. @param {import("../../api_types.js").Unit} unit */
  of({ signal, layer, unit }) {
    return Array.from({ length: this.tokens }, (_, token) => this.at(signal, token, layer, unit));
  }

  /** The value that the strongest color stands for; cells are not bounded. @param {Signal} signal */
  scale(signal) {
    return signal === "hidden" ? 1 : 3;
  }
}
