// Small matrices as arrays of rows.

/** @typedef {number[][]} Matrix */

/** @param {number} size @returns {Matrix} */
export function identity(size) {
  return Array.from({ length: size }, (_, row) => Array.from({ length: size }, (_, column) => Number(row === column)));
}

/** @param {Matrix} left @param {Matrix} right @returns {Matrix} */
export function multiply(left, right) {
  return left.map((row) => right[0].map((_, column) => row.reduce((sum, value, k) => sum + value * right[k][column], 0)));
}

/** @param {Matrix} matrix @param {number[]} vector */
export function apply(matrix, vector) {
  return matrix.map((row) => row.reduce((sum, value, k) => sum + value * vector[k], 0));
}

/** The matrix with each row multiplied by a number. @param {number[]} factors @param {Matrix} matrix @returns {Matrix} */
export function scaleRows(factors, matrix) {
  return matrix.map((row, index) => row.map((value) => factors[index] * value));
}

/** @param {...Matrix} matrices of one shape @returns {Matrix} */
export function add(...matrices) {
  return matrices[0].map((row, i) => row.map((_, j) => matrices.reduce((sum, matrix) => sum + matrix[i][j], 0)));
}

/** A matrix with given numbers on its diagonal. @param {number[]} values @returns {Matrix} */
export function diagonal(values) {
  return scaleRows(values, identity(values.length));
}

/** The square root of the sum of squares. @param {Matrix} matrix */
export function norm(matrix) {
  return Math.hypot(...matrix.flat());
}

/** The largest absolute eigenvalue of a matrix of size 1 or 2. @param {Matrix} matrix */
export function spectralRadius(matrix) {
  if (matrix.length === 1) return Math.abs(matrix[0][0]);
  const [[a, b], [c, d]] = matrix;
  const half = (a + d) / 2;
  const product = a * d - b * c;
  const inside = half * half - product;
  if (inside < 0) return Math.sqrt(product); // two conjugate eigenvalues
  return Math.max(Math.abs(half + Math.sqrt(inside)), Math.abs(half - Math.sqrt(inside)));
}
