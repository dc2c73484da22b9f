// Arrays of float16 in base64, as POST /inspect sends them.

/**
 * @param {import("./api_types.js").EncodedArray} encoded
 * @returns {Float32Array}
 */
export function decodeFloat16(encoded) {
  const bytes = Uint8Array.from(atob(encoded.data), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const values = new Float32Array(bytes.length / 2);
  for (let i = 0; i < values.length; i += 1) values[i] = fromHalf(view.getUint16(2 * i, true));
  return values;
}

/** The value of a half-precision number (IEEE 754) from its bits. @param {number} bits */
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
