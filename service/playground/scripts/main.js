// The page: loads the list of models, and shows the view that the URL names.

import { copy } from "./curl_command.js";
import { find } from "./dom.js";
import { currentLink } from "./link.js";
import { NoModelError } from "./model_menu.js";
import { get } from "./service.js";
import { Task } from "./task.js";
import { startTheme } from "./theme.js";
import { ClassifyView } from "./views/classify/view.js";
import { CompareView } from "./views/compare.js";
import { GradientView } from "./views/gradient/view.js";
import { MemoryView } from "./views/memory/view.js";
import { ModelsView } from "./views/models.js";
import { ReadView } from "./views/read/view.js";
import { RecurrenceView } from "./views/recurrence/view.js";
import { UnrollView } from "./views/unroll/view.js";
import { WordsView } from "./views/words/view.js";
import { WriteView } from "./views/write/view.js";

/** @typedef {{open: (parameters: URLSearchParams) => void, resume: () => void, close: () => void}} View */

const VIEWS = {
  write: WriteView,
  read: ReadView,
  classify: ClassifyView,
  compare: CompareView,
  unroll: UnrollView,
  gradient: GradientView,
  recurrence: RecurrenceView,
  words: WordsView,
  memory: MemoryView,
  models: ModelsView,
};
const FIRST_VIEW = "write";

/** @type {Map<string, View>} */
const opened = new Map();
/** @type {import("./api_types.js").Model[]} */
let models = [];
let current = "";

/** Shows the view that the URL names. */
function show() {
  const link = currentLink();
  const name = link.view in VIEWS ? link.view : FIRST_VIEW;
  if (name !== current) opened.get(current)?.close();
  current = name;
  for (const section of document.querySelectorAll("main > section")) {
    /** @type {HTMLElement} */ (section).hidden = section.id !== `view-${name}`;
  }
  for (const anchor of document.querySelectorAll("nav a")) {
    if (anchor.getAttribute("href") === `#${name}`) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  const section = find(`#view-${name}`);
  document.title = `${find("h2", section).textContent} · Unroll`;
  try {
    const existing = opened.get(name);
    if (existing !== undefined && link.parameters.size === 0) existing.resume();
    else viewOf(name, section).open(link.parameters);
  } catch (error) {
    if (!(error instanceof NoModelError)) throw error;
    find(".notice", section).textContent = `This view needs a model that is not here: ${error.message}.`;
  }
}

/** @param {string} name @param {HTMLElement} section @returns {View} */
function viewOf(name, section) {
  const existing = opened.get(name);
  if (existing !== undefined) return existing;
  const view = new VIEWS[/** @type {keyof typeof VIEWS} */ (name)](section, models);
  opened.set(name, view);
  return view;
}

startTheme();
for (const button of document.querySelectorAll("button.copy-link")) {
  button.addEventListener("click", () => copy(location.href, /** @type {HTMLButtonElement} */ (button)));
}
new Task(find("#page-notice")).run(async (signal) => {
  ({ models } = await get("models", signal));
  addEventListener("hashchange", show);
  show();
});
