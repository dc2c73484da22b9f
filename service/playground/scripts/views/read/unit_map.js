// All units over all tokens on a canvas: a column for each token, a row for each unit.

import { find } from "../../dom.js";

/** @typedef {import("./activations.js").Activations} Activations */

const GAP_ROWS = 6; // between layers

/** The map, its crosshair, and the part that was brushed. */
export class UnitMap {
  /**
   * @param {HTMLElement} root
   * @param {object} handlers
   * @param {(layer: number, unit: number) => void} handlers.onPick a unit is clicked
   * @param {(first: number, last: number) => void} handlers.onBrush a range of tokens is marked
   * @param {(layer: number, unit: number, token: number) => void} handlers.onPoint
   */
  constructor(root, handlers) {
    this.root = root;
    this.handlers = handlers;
    /** @type {HTMLCanvasElement} */
    this.canvas = find("canvas", root);
    this.brush = find(".brush", root);
    this.crosshair = find(".crosshair", root);
    /** @type {Activations | null} */
    this.activations = null;
    this.token = 0;
    this.row = 0;
    /** @type {number | null} */
    this.start = null;
    this.canvas.addEventListener("pointerdown", (event) => this.beginBrush(event));
    this.canvas.addEventListener("pointermove", (event) => this.movePointer(event));
    this.canvas.addEventListener("pointerup", (event) => this.endBrush(event));
    this.canvas.addEventListener("pointercancel", () => (this.start = null));
    this.canvas.addEventListener("keydown", (event) => this.handleKey(event));
  }

  /**
   * @param {Activations} activations
   * @param {import("./activations.js").Signal} signal
   */
  draw(activations, signal) {
    this.activations = activations;
    const { tokens, layers, units } = activations;
    const rows = layers * units + (layers - 1) * GAP_ROWS;
    this.canvas.width = tokens;
    this.canvas.height = rows;
    this.root.style.setProperty("--rows", String(rows));
    const context = this.canvas.getContext("2d");
    if (context === null || tokens === 0) return;
    const [paper, low, high] = ["--surface", "--low", "--high"].map((name) => this.color(name));
    const scale = activations.scale(signal);
    const image = context.createImageData(tokens, rows);
    for (let layer = 0; layer < layers; layer += 1) {
      for (let unit = 0; unit < units; unit += 1) {
        const row = layer * (units + GAP_ROWS) + unit;
        for (let token = 0; token < tokens; token += 1) {
          const value = activations.at(signal, token, layer, unit) / scale;
          const strength = Math.min(Math.abs(value), 1) ** 0.8;
          const ink = value < 0 ? low : high;
          const offset = 4 * (row * tokens + token);
          for (let channel = 0; channel < 3; channel += 1) {
            image.data[offset + channel] = paper[channel] + (ink[channel] - paper[channel]) * strength;
          }
          image.data[offset + 3] = 255;
        }
      }
    }
    context.putImageData(image, 0, 0);
    this.clearBrush();
  }

  /** The red, green and blue of a color of the style sheet. @param {string} name */
  color(name) {
    this.crosshair.style.color = `var(${name})`;
    const color = getComputedStyle(this.crosshair).color;
    this.crosshair.style.color = "";
    return (color.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);
  }

  /** The token and the row under a pointer. @param {PointerEvent} event */
  locate(event) {
    const box = this.canvas.getBoundingClientRect();
    const within = (/** @type {number} */ share, /** @type {number} */ size) =>
      Math.min(Math.max(Math.floor(share * size), 0), size - 1);
    this.token = within((event.clientX - box.left) / box.width, this.canvas.width);
    this.row = within((event.clientY - box.top) / box.height, this.canvas.height);
  }

  /** The unit of the current row. */
  get unit() {
    const units = this.activations?.units ?? 1;
    const layer = Math.floor(this.row / (units + GAP_ROWS));
    return { layer, unit: Math.min(this.row - layer * (units + GAP_ROWS), units - 1) };
  }

  /** @param {PointerEvent} event */
  beginBrush(event) {
    this.locate(event);
    this.start = this.token;
    this.canvas.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  movePointer(event) {
    this.locate(event);
    if (this.start !== null && this.start !== this.token) {
      this.showBrush(Math.min(this.start, this.token), Math.max(this.start, this.token));
    }
    this.point();
  }

  /** @param {PointerEvent} event */
  endBrush(event) {
    this.locate(event);
    const start = this.start ?? this.token;
    this.start = null;
    if (start === this.token) this.handlers.onPick(this.unit.layer, this.unit.unit);
    else this.handlers.onBrush(Math.min(start, this.token), Math.max(start, this.token));
  }

  /** @param {KeyboardEvent} event */
  handleKey(event) {
    const move = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (move !== undefined) {
      event.preventDefault();
      const before = this.token;
      this.token = Math.min(Math.max(this.token + move[0], 0), this.canvas.width - 1);
      this.row = Math.min(Math.max(this.row + move[1], 0), this.canvas.height - 1);
      this.start = event.shiftKey ? (this.start ?? before) : null;
      if (this.start !== null) {
        this.showBrush(Math.min(this.start, this.token), Math.max(this.start, this.token));
      }
      this.point();
    } else if (event.key === "Enter" && this.start !== null && this.start !== this.token) {
      this.handlers.onBrush(Math.min(this.start, this.token), Math.max(this.start, this.token));
      this.start = null;
    } else if (event.key === "Enter") {
      this.handlers.onPick(this.unit.layer, this.unit.unit);
    }
  }

  point() {
    const { layer, unit } = this.unit;
    this.showCrosshair(layer, unit, this.token);
    this.handlers.onPoint(layer, unit, this.token);
  }

  /** @param {number} layer @param {number} unit @param {number} [token] */
  showCrosshair(layer, unit, token = this.token) {
    const units = this.activations?.units ?? 1;
    this.crosshair.hidden = false;
    this.crosshair.style.setProperty("--x", String((token + 0.5) / this.canvas.width));
    this.crosshair.style.setProperty("--y", String((layer * (units + GAP_ROWS) + unit + 0.5) / this.canvas.height));
  }

  /** Marks a range of tokens. @param {number} first @param {number} last */
  showBrush(first, last) {
    this.brush.hidden = false;
    this.brush.style.setProperty("--from", String(first / this.canvas.width));
    this.brush.style.setProperty("--to", String((last + 1) / this.canvas.width));
  }

  clearBrush() {
    this.brush.hidden = true;
    this.start = null;
  }
}
