// Read: a text in the colors of what the model computes, and the units behind it.

import { barList } from "../../bars.js";
import { curlCommand, showCurl } from "../../curl_command.js";
import { find, make } from "../../dom.js";
import { FloatingPanel } from "../../floating_panel.js";
import { count, fixed, inBits, visible } from "../../format.js";
import { remember } from "../../link.js";
import { fillModels, onExample } from "../../model_menu.js";
import { post } from "../../service.js";
import { NoticeError, Task } from "../../task.js";
import { TokenList } from "../../token_list.js";
import { Activations } from "./activations.js";
import { Clamping } from "./clamping.js";
import { colorBySurprisal, colorByValue, showLegend } from "./coloring.js";
import { UnitMap } from "./unit_map.js";
import { findNamedUnits, markTokens, searchUnits, unitButton } from "./unit_search.js";

/** @typedef {import("../../api_types.js").InspectedToken} InspectedToken */

/** The view, in its section of the page. */
export class ReadView {
  /**
   * @param {HTMLElement} section
   * @param {import("../../api_types.js").Model[]} models
   */
  constructor(section, models) {
    this.section = section;
    this.models = fillModels(find("#read-model", section), models, "language-model", "shakespeare-char");
    this.reading = new Task(find(".notice", section));
    this.naming = new Task(find(".unit-notice", section));
    this.search = new Task(find(".unit-notice", section));
    this.gates = new Task(find(".notice", section));
    this.panel = new FloatingPanel(find("#read-panel"));
    this.clamping = new Clamping(find(".clamping", section));
    this.input = /** @type {HTMLTextAreaElement} */ (find("#read-text", section));
    this.colorMenu = /** @type {HTMLSelectElement} */ (find("#read-color", section));
    this.layerInput = /** @type {HTMLInputElement} */ (find("#read-layer", section));
    this.unitInput = /** @type {HTMLInputElement} */ (find("#read-unit", section));
    this.signalMenu = /** @type {HTMLSelectElement} */ (find("#read-signal", section));
    /** @type {InspectedToken[]} */
    this.tokens = [];
    /** @type {Activations | null} */
    this.activations = null;
    this.list = new TokenList(find(".reading", section), {
      onPoint: (index, element) => this.showSuccessors(index, element),
      onLeave: () => this.panel.hideSoon(),
      onKey: (event) => event.key === "Escape" && this.panel.hide(),
      onSelect: (first, last) => this.brush(first, last),
    });
    this.map = new UnitMap(find(".unit-map", section), {
      onPick: (layer, unit) => this.chooseUnit({ layer, unit, signal: this.signal }),
      onBrush: (first, last) => this.brush(first, last),
      onPoint: (layer, unit, token) => this.describe(layer, unit, token),
    });
    this.connectControls();
  }

  /** Shows the state of a link. @param {URLSearchParams} parameters */
  open(parameters) {
    this.models.choose(parameters.get("model"));
    this.input.value = parameters.get("text") ?? this.input.value;
    this.colorMenu.value = parameters.get("color") ?? "surprisal";
    this.layerInput.value = parameters.get("layer") ?? "1";
    this.unitInput.value = parameters.get("unit") ?? "31";
    this.signalMenu.value = parameters.get("signal") ?? "hidden";
    this.read();
  }

  /** Shows the view as it was left. */
  resume() {
    this.color();
    this.drawMap();
  }

  close() {
    for (const task of [this.reading, this.naming, this.search, this.gates]) task.stop();
  }

  connectControls() {
    find(".edit-form", this.section).addEventListener("submit", (event) => {
      event.preventDefault();
      this.read();
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.read();
    });
    this.models.onChange(() => this.read());
    for (const control of [this.colorMenu, this.layerInput, this.unitInput, this.signalMenu]) {
      control.addEventListener("change", () => {
        this.showUnit(this.unit);
        this.color();
      });
    }
    find("#read-spaces", this.section).addEventListener("change", (event) => {
      const { checked } = /** @type {HTMLInputElement} */ (event.target);
      find(".reading", this.section).classList.toggle("show-spaces", checked);
    });
    find(".reading", this.section).addEventListener("pointerup", () => this.brushSelection());
    find(".clamp-unit", this.section).addEventListener("click", () => {
      this.clamping.choose(this.models.current.name, this.unit, this.input.value);
    });
    onExample(this.section, ({ model = "", text = "", color = "surprisal", layer, unit }) => {
      this.models.choose(model);
      this.input.value = text;
      this.colorMenu.value = color;
      if (layer !== undefined) this.layerInput.value = layer;
      if (unit !== undefined) this.unitInput.value = unit;
      this.read();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawMap());
    document.addEventListener("themechange", () => this.drawMap());
  }

  /** @returns {"hidden" | "cell"} */
  get signal() {
    return this.signalMenu.value === "cell" ? "cell" : "hidden";
  }

  /** The unit that the controls name, or the nearest one that there is. */
  get unit() {
    const within = (/** @type {HTMLInputElement} */ { value, max }) =>
      Math.trunc(Math.min(Math.max(Number(value), 0), max === "" ? Infinity : Number(max)));
    return { layer: within(this.layerInput), unit: within(this.unitInput), signal: this.signal };
  }

  /** Reads the text, then names units. */
  read() {
    this.close();
    this.clamping.hide();
    const text = this.input.value;
    const model = this.models.current.name;
    this.showRequest();
    if (text === "") {
      this.reading.show("Write or paste a text, or choose an example.");
      this.section.classList.add("empty");
      return;
    }
    this.section.setAttribute("aria-busy", "true");
    this.reading
      .run(async (signal) => {
        const fields = { model, text, top: 5, encoding: "base64" };
        /** @type {import("../../api_types.js").Inspection} */
        const inspection = await post("inspect", fields, signal);
        this.section.classList.remove("empty");
        this.tokens = inspection.tokens;
        this.activations = new Activations(inspection.arrays ?? {});
        this.list.replace(this.tokens.map((token) => token.text));
        find(".reading", this.section).classList.toggle("characters", this.models.current.tokenizer === "char");
        this.tokens.forEach(({ unknown }, index) => this.list.elements[index].classList.toggle("unknown", unknown === true));
        this.showTotals(inspection);
        this.limitControls();
        this.drawMap();
        this.color();
        this.nameUnits(model, text);
      })
      .finally(() => this.section.removeAttribute("aria-busy"));
  }

  /** @param {import("../../api_types.js").Inspection} inspection */
  showTotals({ tokens, unknown_tokens: unknown }) {
    const bits = tokens.reduce((sum, token) => sum + (token.surprisal_bits ?? 0), 0);
    const noun = this.models.current.tokenizer === "char" ? "character" : "token";
    const parts = [count(tokens.length, noun), `${inBits(bits / tokens.length)} each`];
    if (unknown > 0) parts.push(`${unknown} not in the vocabulary`);
    find(".totals", this.section).textContent = parts.join(", ");
  }

  limitControls() {
    if (this.activations === null) return;
    const { layers, units, signals } = this.activations;
    this.layerInput.max = String(layers - 1);
    this.unitInput.max = String(units - 1);
    this.showUnit(this.unit);
    for (const option of this.signalMenu.options) option.hidden = option.value === "cell" && !signals.includes("cell");
    if (!signals.includes(this.signal)) this.signalMenu.value = "hidden";
  }

  /** @param {import("../../api_types.js").Unit} unit */
  showUnit({ layer, unit, signal }) {
    this.layerInput.value = String(layer);
    this.unitInput.value = String(unit);
    this.signalMenu.value = signal;
  }

  drawMap() {
    if (this.activations === null || this.section.hidden) return;
    this.map.draw(this.activations, this.signal);
    this.map.showCrosshair(this.unit.layer, this.unit.unit, 0);
    this.describe(this.unit.layer, this.unit.unit, 0);
  }

  /** Colors the text by what the controls name. */
  color() {
    if (this.activations === null || this.section.hidden) return;
    const mode = this.colorMenu.value;
    find(".unit-controls", this.section).hidden = mode === "surprisal";
    find(".signal-field", this.section).hidden = mode !== "unit";
    this.gates.stop();
    if (mode === "surprisal") {
      colorBySurprisal(this.list.elements, this.tokens);
      showLegend(find(".legend", this.section), "surprisal");
    } else if (mode === "unit") {
      const values = this.activations.of(this.unit);
      const scale = this.activations.scale(this.signal);
      colorByValue(this.list.elements, this.tokens, values, scale);
      showLegend(find(".legend", this.section), "value", scale);
      this.drawMap();
    } else {
      this.colorByGate(mode);
    }
    this.showRequest();
    this.update();
  }

  /** @param {string} gate */
  colorByGate(gate) {
    const { layer, unit } = this.unit;
    const fields = { model: this.models.current.name, text: this.input.value, top: 0, layers: [layer], units: [unit], gates: true };
    this.gates.run(async (signal) => {
      /** @type {import("../../api_types.js").Inspection} */
      const { tokens } = await post("inspect", fields, signal);
      const gates = tokens[0]?.gates ?? {};
      if (!(gate in gates)) {
        throw new NoticeError(`The gates of this model are ${Object.keys(gates).join(", ") || "none"}.`);
      }
      const values = tokens.map((token) => token.gates?.[gate][0][0] ?? 0);
      colorByValue(this.list.elements, this.tokens, values, 1);
      showLegend(find(".legend", this.section), "value");
    });
  }

  /** @param {string} model @param {string} text */
  nameUnits(model, text) {
    const list = find(".named-units", this.section);
    list.replaceChildren();
    find(".brushed", this.section).hidden = true;
    this.naming.run(async (signal) => {
      const named = await findNamedUnits(model, text, signal);
      list.replaceChildren(...named.map(({ name, unit }) => unitButton(unit, name, (chosen) => this.chooseUnit(chosen, true))));
    });
  }

  /**
   * Colors the text by a unit.
   * @param {import("../../api_types.js").Unit & {correlation?: number}} unit
   * @param {boolean} [clamp] whether to generate with the unit clamped as well
   */
  chooseUnit(unit, clamp = false) {
    this.colorMenu.value = "unit";
    this.showUnit(unit);
    this.color();
    if (clamp) this.clamping.choose(this.models.current.name, unit, this.input.value);
  }

  /** Marks the tokens of the selected text. */
  brushSelection() {
    const selection = document.getSelection();
    if (selection === null || selection.isCollapsed) return;
    const indices = [selection.anchorNode, selection.focusNode].map((node) => this.list.indexOf(node?.parentElement ?? null));
    if (Math.min(...indices) >= 0) this.brush(Math.min(...indices), Math.max(...indices));
  }

  /** Finds the units that do what the marked tokens do. @param {number} first @param {number} last */
  brush(first, last) {
    this.map.showBrush(first, last);
    this.list.elements.forEach((element, index) => {
      element.setAttribute("aria-selected", String(index >= first && index <= last));
    });
    const texts = this.tokens.map(({ text }) => text);
    const marking = markTokens(texts, first, last);
    const fields = { model: this.models.current.name, text: this.input.value, marking, top: 6 };
    const quoted = visible(texts.slice(first, last + 1).join("")).trim();
    this.naming.stop();
    this.search.run(async (signal) => {
      const units = await searchUnits(fields, signal);
      const excerpt = quoted.length > 32 ? `${quoted.slice(0, 30)}…` : quoted;
      find(".brushed", this.section).hidden = false;
      find(".brushed-title", this.section).textContent = `Units that mark “${excerpt}”`;
      find(".brushed ol", this.section).replaceChildren(
        ...units.map((unit) => unitButton(unit, "", (chosen) => this.chooseUnit(chosen, true))),
      );
      showCurl(find(".view-curl", this.section), curlCommand("inspect/units", fields));
    });
  }

  /** @param {number} index @param {HTMLElement} element */
  showSuccessors(index, element) {
    const { text, surprisal_bits: bits = 0, entropy_bits: entropy = 0, top = [] } = this.tokens[index];
    const bars = top.map((successor) => ({ label: successor.text, probability: successor.probability }));
    const title = make("p", { className: "panel-title" }, make("b", {}, visible(text)), ` ${inBits(bits)}`);
    const hint = make("p", { className: "panel-hint" }, `The model's uncertainty before it: ${inBits(entropy)}.`);
    this.panel.show(element, title, hint, make("p", { className: "panel-title" }, "After it"), barList(bars));
    const { layer, unit } = this.unit;
    this.map.showCrosshair(layer, unit, index);
    this.describe(layer, unit, index);
  }

  /** @param {number} layer @param {number} unit @param {number} token */
  describe(layer, unit, token) {
    if (this.activations === null) return;
    const value = this.activations.at(this.signal, token, layer, unit);
    const text = visible(this.tokens[token]?.text ?? "");
    find(".map-readout", this.section).textContent = `layer ${layer}, unit ${unit}, after “${text}”: ${fixed(value)}`;
  }

  showRequest() {
    const fields = { model: this.models.current.name, text: this.input.value, top: 5 };
    const { layer, unit } = this.unit;
    const mode = this.colorMenu.value;
    const shown = mode === "surprisal" ? { layers: [] } : { layers: [layer], units: [unit] };
    const gates = mode === "surprisal" || mode === "unit" ? {} : { gates: true };
    showCurl(find(".view-curl", this.section), curlCommand("inspect", { ...fields, ...shown, ...gates }));
  }

  update() {
    if (this.section.hidden) return;
    const { layer, unit, signal } = this.unit;
    const mode = this.colorMenu.value;
    const units = mode === "surprisal" ? {} : { layer, unit, signal };
    remember("read", { model: this.models.current.name, color: mode, ...units, text: this.input.value });
  }
}
