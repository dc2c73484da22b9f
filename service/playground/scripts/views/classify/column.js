// Several documents, one a line, in a table of labels.

import { make } from "../../dom.js";
import { percent } from "../../format.js";
import { post } from "../../service.js";

/** @typedef {{label: string, confidence: number, labels?: string[], token_count: number, unknown_tokens?: number}} Result */

/**
 * The documents of a pasted column: lines that are not blank.
 * @param {string} text
 */
export function documentsOf(text) {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/**
 * Classifies documents, as many in one request as the service takes.
 * @param {import("../../api_types.js").Model} model
 * @param {string[]} documents
 * @param {(results: Result[]) => void} onResults called with each part, in order
 * @param {AbortSignal} signal
 */
export async function classifyColumn(model, documents, onResults, signal) {
  const most = model.limits.texts ?? 1;
  for (let start = 0; start < documents.length; start += most) {
    const fields = { model: model.name, texts: documents.slice(start, start + most), top: 1 };
    onResults((await post("classify", fields, signal)).results);
  }
}

/**
 * @param {import("../../api_types.js").Model} model
 * @param {string[]} documents
 * @param {Result[]} results of the first documents
 */
export function resultTable(model, documents, results) {
  const head = make(
    "tr",
    {},
    ...["Document", "Label", "Confidence"].map((name) => make("th", { scope: "col" }, name)),
  );
  const rows = results.map((result, index) => {
    const track = make("span", { className: "track", "aria-hidden": "true" });
    track.style.setProperty("--share", String(result.confidence));
    const confidence = make("div", { className: "confidence" }, track, make("span", { className: "percent" }, percent(result.confidence)));
    const cells = [documents[index], labelNames(model, result), confidence];
    return make("tr", {}, ...cells.map((cell) => make("td", {}, cell)));
  });
  return make("table", { className: "results" }, make("thead", {}, head), make("tbody", {}, ...rows));
}

/**
 * The labels of a document as words: one, or those that a multi-label model gives.
 * @param {import("../../api_types.js").Model} model
 * @param {Result} result
 */
function labelNames(model, result) {
  const labels = result.labels ?? [result.label];
  return labels.length === 0 ? "none" : labels.map((label) => labelName(model, label)).join(", ");
}

/**
 * A label as words.
 * @param {import("../../api_types.js").Model} model
 * @param {string} label
 */
export function labelName(model, label) {
  return label === model.out_of_scope_label ? "out of scope" : label.replaceAll("_", " ");
}
