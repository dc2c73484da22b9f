// The words that may come next, or complete the word that is being typed.

import { post } from "../../service.js";

export const SHOWN = 9;
const SEARCHED = 100; // words of a word model among which completions are looked for
const KEPT_ANSWERS = 8;
const WORD_END = /[\p{L}\p{N}'’-]+$/u;

/**
 * @typedef {object} Candidate
 * @property {string} word the whole word
 * @property {string} typed its beginning that the text ends with
 * @property {string} insertion the characters that complete the word, with a space in front if needed
 * @property {number} probability
 */

/**
 * @param {import("../../api_types.js").Model} model
 * @param {string} text the text before the caret
 * @param {AbortSignal} signal
 * @returns {Promise<Candidate[]>} the likeliest first
 */
export async function nextWords(model, text, signal) {
  const typed = WORD_END.exec(text)?.[0] ?? "";
  if (model.tokenizer !== "word") {
    const words = await ask(model, text, SHOWN, signal);
    return words.map(({ word, completion = word, probability }) => {
      const beginning = word.slice(0, word.length - completion.length);
      return { word, typed: beginning, insertion: completion, probability };
    });
  }
  // The service completes a word that the model does not know. A known word that is less likely than
  // its completions is completed here.
  const started = await wordsAfter(model, text.slice(0, text.length - typed.length), signal);
  const completions = started.filter(({ word }) => word.startsWith(typed) && word !== typed);
  const whole = started.find(({ word }) => word === typed)?.probability ?? 0;
  const mass = completions.reduce((sum, { probability }) => sum + probability, 0);
  if (typed === "" || mass > whole) {
    return completions
      .slice(0, SHOWN)
      .map((candidate) => ({ ...candidate, typed, insertion: candidate.word.slice(typed.length) }));
  }
  const following = await wordsAfter(model, text, signal);
  return following.slice(0, SHOWN).map((candidate) => {
    const { word, completion } = candidate;
    return completion === undefined
      ? { ...candidate, typed: "", insertion: ` ${word}` }
      : { ...candidate, typed, insertion: completion };
  });
}

/** @typedef {{word: string, completion?: string, probability: number}} NextWord */

/** @type {Map<string, NextWord[]>} */
const answers = new Map();

/**
 * The likeliest words of a word model after a text. The newest answers are kept, since all letters of
 * a word are completed from the same one.
 * @param {import("../../api_types.js").Model} model
 * @param {string} text
 * @param {AbortSignal} signal
 */
async function wordsAfter(model, text, signal) {
  const key = `${model.name}\n${text}`;
  const words = answers.get(key) ?? (await ask(model, text, SEARCHED, signal));
  answers.delete(key);
  answers.set(key, words);
  for (const oldest of answers.keys()) {
    if (answers.size <= KEPT_ANSWERS) break;
    answers.delete(oldest);
  }
  return words;
}

/** The request behind the list. @param {import("../../api_types.js").Model} model @param {string} text */
export function nextWordsFields(model, text) {
  return { model: model.name, prompt: text, top: SHOWN };
}

/**
 * @param {import("../../api_types.js").Model} model
 * @param {string} prompt
 * @param {number} top
 * @param {AbortSignal} signal
 * @returns {Promise<NextWord[]>}
 */
async function ask(model, prompt, top, signal) {
  return (await post("next-word", { ...nextWordsFields(model, prompt), top }, signal)).words;
}
