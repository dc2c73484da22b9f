// The tokens that a generated token was drawn from, in a floating panel.

import { barRow } from "../../bars.js";
import { make } from "../../dom.js";
import { visible } from "../../format.js";

const SPECIAL = /^\[[A-Z]+\]$/; // [UNK], [END]: tokens that are not text

/** @typedef {import("./continuation.js").GeneratedToken} GeneratedToken */

/**
 * The contents of the panel.
 * @param {GeneratedToken} token
 * @param {(alternative: GeneratedToken) => void} onPick
 */
export function alternativesPanel(token, onPick) {
  const choices = choicesOf(token);
  const scale = Math.exp(choices[0].logprob);
  const rows = choices.map((choice) => {
    const bar = { label: choice.text, probability: Math.exp(choice.logprob), current: choice.text === token.text };
    const disabled = bar.current || SPECIAL.test(choice.text);
    const row = make("button", { type: "button", disabled, className: "forecast-row" }, ...barRow(bar, scale));
    row.addEventListener("click", () => onPick(choice));
    return make("li", {}, row);
  });
  const title = make("p", { className: "panel-title" }, "Drawn from");
  const hint = make("p", { className: "panel-hint" }, "Choose another one to go on from there.");
  return [title, make("ol", { className: "bars" }, ...rows), hint];
}

/**
 * The alternatives of a token, and the token itself where it was none of them.
 * @param {GeneratedToken} token
 * @returns {GeneratedToken[]}
 */
export function choicesOf(token) {
  const choices = token.top.map(({ text, logprob }) => ({ text, logprob, top: token.top }));
  return choices.some(({ text }) => text === token.text) ? choices : [...choices, token];
}

/** One sentence for a screen reader. @param {GeneratedToken} token */
export function spokenAlternatives(token) {
  const likeliest = token.top.slice(0, 3).map(({ text }) => visible(text));
  return `${visible(token.text)}; likeliest: ${likeliest.join(", ")}`;
}
