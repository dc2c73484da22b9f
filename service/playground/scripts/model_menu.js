// The menu of models of a view, and its examples.

import { make } from "./dom.js";

/** @typedef {import("./api_types.js").Model} Model */

/** The models of one kind in a select element. */
export class ModelMenu {
  /**
   * @param {HTMLSelectElement} select
   * @param {Model[]} models at least one
   * @param {string} preferred name of the model chosen at first
   */
  constructor(select, models, preferred) {
    this.select = select;
    this.models = models;
    select.replaceChildren(...models.map(({ name }) => make("option", { value: name }, name)));
    const first = models.find(({ name }) => name === preferred) ?? models.find((model) => model.default);
    select.value = (first ?? models[0]).name;
  }

  /** @returns {Model} */
  get current() {
    return this.models.find(({ name }) => name === this.select.value) ?? this.models[0];
  }

  /** Chooses a model if it is served. @param {string | null} name */
  choose(name) {
    if (this.models.some((model) => model.name === name)) this.select.value = String(name);
  }

  /** @param {() => void} action */
  onChange(action) {
    this.select.addEventListener("change", action);
  }
}

/** Thrown for a view without a model. */
export class NoModelError extends Error {}

/**
 * @param {HTMLElement} select
 * @param {Model[]} models of all kinds
 * @param {Model["kind"]} kind
 * @param {string} preferred
 */
export function fillModels(select, models, kind, preferred) {
  const matching = models.filter((model) => model.kind === kind);
  if (matching.length === 0) throw new NoModelError(`no ${kind} is loaded`);
  return new ModelMenu(/** @type {HTMLSelectElement} */ (select), matching, preferred);
}

/**
 * Calls `action` with the data attributes of an example when its button is clicked.
 * @param {HTMLElement} section
 * @param {(example: DOMStringMap) => void} action
 */
export function onExample(section, action) {
  for (const button of section.querySelectorAll(".examples button")) {
    button.addEventListener("click", () => action(/** @type {HTMLElement} */ (button).dataset));
  }
}
