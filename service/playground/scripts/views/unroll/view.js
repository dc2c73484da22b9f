// Unroll: the cyclic drawing of the network unrolls as a text is typed.

import { curlCommand, showCurl } from "../../curl_command.js";
import { afterPause, find, make } from "../../dom.js";
import { count, grouped, visible } from "../../format.js";
import { formula } from "../../formula.js";
import { remember } from "../../link.js";
import { fillModels, onExample } from "../../model_menu.js";
import { post } from "../../service.js";
import { Task } from "../../task.js";
import { arithmetic } from "./arithmetic.js";
import { unrolledDrawing, weightClass } from "./drawing.js";

const MOST_COLUMNS = 24;
const STRIP = 16;
const GATES = { elman: 1, gru: 3, lstm: 4 };

/** @typedef {import("../../api_types.js").InspectedToken} InspectedToken */

/** The view, in its section of the page. */
export class UnrollView {
  /**
   * @param {HTMLElement} section
   * @param {import("../../api_types.js").Model[]} models
   */
  constructor(section, models) {
    this.section = section;
    this.models = fillModels(find("#unroll-model", section), models, "language-model", "english-word");
    this.task = new Task(find(".notice", section));
    this.stepTask = new Task(find(".step-notice", section));
    this.input = /** @type {HTMLInputElement} */ (find("#unroll-text", section));
    this.unit = /** @type {HTMLInputElement} */ (find("#unroll-unit", section));
    this.rolled = /** @type {HTMLInputElement} */ (find("#unroll-rolled", section));
    /** @type {InspectedToken[]} */
    this.tokens = [];
    /** The open box; without a token it follows the last one. @type {{layer: number, token?: number} | null} */
    this.opened = null;
    const readSoon = afterPause(80, () => this.read());
    this.input.addEventListener("input", () => {
      if (this.opened) delete this.opened.token;
      readSoon();
    });
    this.unit.addEventListener("input", readSoon);
    this.rolled.addEventListener("change", () => this.draw());
    this.models.onChange(() => this.chooseModel());
    onExample(section, ({ model = "", text = "" }) => {
      this.models.choose(model);
      this.input.value = text;
      this.chooseModel();
    });
    const drawing = find(".network-box", section);
    drawing.addEventListener("click", (event) => this.openBox(boxOf(event.target)));
    drawing.addEventListener("keydown", (event) => this.handleKey(event));
  }

  /** Shows the state of a link. @param {URLSearchParams} parameters */
  open(parameters) {
    this.models.choose(parameters.get("model"));
    this.input.value = parameters.get("text") ?? this.input.value;
    this.unit.value = parameters.get("unit") ?? this.unit.value;
    this.rolled.checked = parameters.has("rolled");
    const layer = parameters.get("layer");
    const token = parameters.get("token");
    this.opened = layer === null ? null : { layer: Number(layer), ...(token === null ? {} : { token: Number(token) }) };
    this.read();
  }

  /** Shows the view as it was left. */
  resume() {
    this.read();
  }

  close() {
    this.task.stop();
    this.stepTask.stop();
  }

  /** Another model has other units and layers. */
  chooseModel() {
    this.unit.value = "0";
    this.opened = null;
    this.read();
  }

  /** The architecture of the model. */
  get architecture() {
    const { layers, hidden, embedding, cell } = this.models.current.architecture;
    return {
      layers: Number(layers),
      hidden: Number(hidden),
      embedding: Number(embedding),
      cell: /** @type {keyof typeof GATES} */ (cell),
    };
  }

  /** The chosen unit and the first of the units that are drawn in a box. */
  get units() {
    const { hidden } = this.architecture;
    const unit = Math.min(Math.max(Math.floor(Number(this.unit.value)) || 0, 0), hidden - 1);
    return { unit, firstUnit: unit - (unit % STRIP), hidden };
  }

  read() {
    if (this.section.hidden) return;
    this.remember();
    const text = this.input.value;
    const model = this.models.current.name;
    const { firstUnit, hidden } = this.units;
    this.unit.max = String(hidden - 1);
    const units = Array.from({ length: Math.min(STRIP, hidden - firstUnit) }, (_, index) => firstUnit + index);
    const fields = { model, text, top: 1, units };
    showCurl(find(".view-curl", this.section), curlCommand("inspect", fields));
    this.showLegend();
    this.task.run(async (signal) => {
      this.tokens = text.trim() === "" ? [] : (await post("inspect", fields, signal)).tokens;
      this.draw();
      await this.showStep();
    });
  }

  remember() {
    remember("unroll", {
      model: this.models.current.name,
      text: this.input.value,
      unit: this.unit.value,
      rolled: this.rolled.checked ? 1 : undefined,
      layer: this.opened?.layer,
      token: this.opened?.token,
    });
  }

  draw() {
    this.remember();
    const { layers } = this.architecture;
    const { unit, firstUnit } = this.units;
    const rolled = this.rolled.checked || this.tokens.length === 0;
    const first = rolled ? Math.max(this.tokens.length - 1, 0) : Math.max(this.tokens.length - MOST_COLUMNS, 0);
    const columns = this.tokens.slice(first).map((token, index) => columnOf(token, first + index));
    if (columns.length === 0) columns.push({ word: "", token: 0, layers: [], next: undefined });
    const box = find(".network-box", this.section);
    const drawing = unrolledDrawing({ columns, layers, unit: unit - firstUnit, firstUnit, rolled, fromStart: first === 0 });
    box.replaceChildren(drawing);
    box.scrollLeft = box.scrollWidth;
    this.firstColumn = first;
    this.markOpened();
    const left = first > 0 && !rolled ? ` The last ${MOST_COLUMNS} of ${grouped(this.tokens.length)} are drawn.` : "";
    const same = `${count(this.tokens.length, "token")}, the same weights at each.`;
    find(".network-caption", this.section).textContent = `${same}${left}`;
  }

  /** Makes the open box, or the last one, the only tab stop. */
  markOpened() {
    const boxes = this.boxes();
    const token = this.openedToken;
    for (const box of boxes) {
      const isOpen = this.opened !== null && tokenOf(box, this.firstColumn ?? 0) === token && layerOf(box) === this.opened.layer;
      box.setAttribute("aria-pressed", String(isOpen));
    }
    const stop = boxes.find((box) => box.getAttribute("aria-pressed") === "true") ?? boxes[boxes.length - 1];
    stop?.setAttribute("tabindex", "0");
  }

  /** The index of the token that the open box reads. */
  get openedToken() {
    return this.opened?.token ?? this.tokens.length - 1;
  }

  /** @returns {SVGElement[]} */
  boxes() {
    return [...this.section.querySelectorAll(".network .box")].map((box) => /** @type {SVGElement} */ (box));
  }

  /** @param {SVGElement | null} box */
  openBox(box) {
    if (box === null || this.tokens.length === 0) return;
    const token = tokenOf(box, this.firstColumn ?? 0);
    this.opened = { layer: layerOf(box), ...(token === this.tokens.length - 1 ? {} : { token }) };
    for (const other of this.boxes()) other.setAttribute("tabindex", "-1");
    this.markOpened();
    this.remember();
    this.showStep();
  }

  /** @param {KeyboardEvent} event */
  handleKey(event) {
    const box = boxOf(event.target);
    if (box === null) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.openBox(box);
      return;
    }
    const [column, layer] = [Number(box.dataset.column), layerOf(box)];
    const moves = /** @type {Record<string, [number, number]>} */ ({
      ArrowRight: [column + 1, layer],
      ArrowLeft: [column - 1, layer],
      ArrowUp: [column, layer + 1],
      ArrowDown: [column, layer - 1],
    });
    const [toColumn, toLayer] = moves[event.key] ?? [];
    const next = this.boxes().find((other) => Number(other.dataset.column) === toColumn && layerOf(other) === toLayer);
    if (next === undefined) return;
    event.preventDefault();
    box.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  }

  /** Puts the numbers of the open box into the formulas. */
  async showStep() {
    const panel = find(".step", this.section);
    panel.hidden = this.opened === null || this.tokens.length === 0;
    if (this.opened === null || panel.hidden) return;
    const layer = Math.min(this.opened.layer, this.architecture.layers - 1);
    const token = Math.min(this.openedToken, this.tokens.length - 1);
    const fields = { model: this.models.current.name, text: this.input.value, token, layer, unit: this.units.unit };
    showCurl(find(".step-curl", this.section), curlCommand("inspect/step", fields));
    await this.stepTask.run(async (signal) => {
      const step = await post("inspect/step", fields, signal);
      const from = layer === 0 ? `the vector of “${visible(step.text)}”` : `h of layer ${layer - 1}`;
      find(".step-title", this.section).textContent = `Layer ${layer}, unit ${fields.unit}, after “${visible(step.text)}”`;
      find(".step-inputs", this.section).textContent = `x is ${from}; h${step.cell_before === undefined ? "" : " and c"} of the step before ${was(step)}.`;
      find(".arithmetic-box", this.section).replaceChildren(arithmetic(step, layer));
    });
  }

  /** The weight matrices, their colors and shapes. */
  showLegend() {
    const { layers, hidden, embedding, cell } = this.architecture;
    const rows = (GATES[cell] ?? 1) * hidden;
    const entries = Array.from({ length: layers }, (_, layer) => [
      entry(weightClass("x", layer), "W_x", `layer ${layer}`, rows, layer === 0 ? embedding : hidden),
      entry(weightClass("h", layer), "W_h", `layer ${layer}`, rows, hidden),
    ]);
    find(".network-legend", this.section).replaceChildren(...entries.flat());
  }
}

/** @param {import("./arithmetic.js").UnitStep} step */
function was({ hidden_before: hidden, cell_before: cell }) {
  const numbers = [hidden, ...(cell === undefined ? [] : [cell])].map((value) => value.toFixed(3).replace("-", "−"));
  return `${numbers.length > 1 ? "are" : "is"} ${numbers.join(" and ")}`;
}

/** @param {string} className @param {string} letter @param {string} place @param {number} rows @param {number} columns */
function entry(className, letter, place, rows, columns) {
  const name = make("b", { className }, ...formula(letter));
  return make("li", {}, name, ` ${place}: ${grouped(rows)} × ${grouped(columns)}`);
}

/** @param {InspectedToken} token @param {number} index @returns {import("./drawing.js").Column} */
function columnOf(token, index) {
  const layers = (token.hidden ?? []).map((hidden, layer) => ({ hidden, cell: token.cell?.[layer] ?? null }));
  return { word: token.text, token: index, layers, next: token.top?.[0] };
}

/** @param {EventTarget | null} target @returns {SVGElement | null} */
function boxOf(target) {
  const box = target instanceof Element ? target.closest(".box") : null;
  return box instanceof SVGElement ? box : null;
}

/** @param {SVGElement} box */
function layerOf(box) {
  return Number(box.dataset.layer);
}

/** @param {SVGElement} box @param {number} firstColumn */
function tokenOf(box, firstColumn) {
  return firstColumn + Number(box.dataset.column);
}
