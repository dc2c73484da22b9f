// Streams of generated tokens, with the numbers that the figures under the editor show.

import { stream } from "../../service.js";

export const MOST_TOKENS = 200;
const ALTERNATIVES = 10;

/**
 * @typedef {object} GeneratedToken
 * @property {string} text
 * @property {number} logprob
 * @property {import("../../api_types.js").Alternative[]} top
 *
 * @typedef {object} Figures
 * @property {number} firstTokenMs
 * @property {number} tokensPerSecond
 * @property {number} promptTokens
 * @property {number} cachedTokens
 * @property {number} seed
 * @property {string} finishReason
 */

/**
 * @param {string} model
 * @param {string} prompt
 * @param {{temperature: number, seed?: number, n?: number}} sampling
 */
export function continuationFields(model, prompt, { temperature, seed, n }) {
  const fields = { model, prompt, max_tokens: MOST_TOKENS, temperature, logprobs: ALTERNATIVES };
  return { ...fields, ...(seed !== undefined && { seed }), ...(n && { n }), stream: true };
}

/**
 * Streams continuations.
 * @param {ReturnType<typeof continuationFields>} fields
 * @param {(index: number, tokens: GeneratedToken[]) => void} onTokens
 * @param {AbortSignal} signal
 * @returns {Promise<Figures>}
 */
export async function continueText(fields, onTokens, signal) {
  const asked = performance.now();
  let first = 0;
  let tokens = 0;
  /** @type {import("../../api_types.js").StreamEvent | undefined} */
  let end;
  for await (const event of stream("generate", fields, signal)) {
    if (event.finish_reason !== undefined) {
      if (event.index === 0) end = event;
    } else if (event.token !== undefined) {
      first ||= performance.now();
      tokens += 1;
      const { text = event.token, logprob = 0, top = [] } = event;
      onTokens(event.index, [{ text, logprob, top }]);
    }
  }
  const seconds = (performance.now() - first) / 1000;
  return {
    firstTokenMs: first - asked,
    tokensPerSecond: seconds > 0 ? (tokens - 1) / seconds : 0,
    promptTokens: end?.usage?.prompt_tokens ?? 0,
    cachedTokens: end?.usage?.cached_tokens ?? 0,
    seed: end?.seed ?? 0,
    finishReason: end?.finish_reason ?? "",
  };
}
