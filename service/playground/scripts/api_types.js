// The parts of the HTTP interface that the page uses, as types for the checker.

/**
 * @typedef {{text: string, probability: number}} Successor
 * @typedef {{label: string, score: number}} LabelScore
 * @typedef {{layer: number, unit: number, signal: "hidden" | "cell"}} Unit
 * @typedef {Unit & {correlation: number, separation: number}} FoundUnit
 *
 * @typedef {object} InspectedToken
 * @property {string} text
 * @property {boolean} [unknown]
 * @property {number} [surprisal_bits]
 * @property {number} [entropy_bits]
 * @property {Successor[]} [top]
 * @property {number[][]} [hidden]
 * @property {number[][]} [cell]
 * @property {Record<string, number[][]>} [gates]
 * @property {LabelScore[]} [scores]
 * @property {number} [contribution]
 *
 * @typedef {{dtype: "float16", shape: number[], data: string}} EncodedArray
 *
 * @typedef {object} Inspection
 * @property {string} model
 * @property {number[]} [layers]
 * @property {InspectedToken[]} tokens
 * @property {Record<string, EncodedArray>} [arrays]
 * @property {number} unknown_tokens
 * @property {{label: string, other: string, total: number, baseline: number, completeness_gap: number}} [attribution]
 * @property {{removed: string[], positions: number[], label: string, score: number}} [nearest_change]
 *
 * @typedef {{text: string, logprob: number}} Alternative
 * @typedef {{prompt_tokens: number, cached_tokens: number, completion_tokens: number}} Usage
 *
 * @typedef {object} StreamEvent
 * @property {number} index
 * @property {string} [text]
 * @property {string} [token]
 * @property {number} [logprob]
 * @property {Alternative[]} [top]
 * @property {string} [finish_reason]
 * @property {Usage} [usage]
 * @property {number} [seed]
 * @property {{message: string}} [error]
 *
 * @typedef {{text: string, tokens: string[], finish_reason: string}} GeneratedText
 *
 * @typedef {object} Model
 * @property {string} name
 * @property {string} version
 * @property {"language-model" | "classifier"} kind
 * @property {boolean} default
 * @property {"word" | "char" | "bpe"} tokenizer
 * @property {number} vocabulary_size
 * @property {Record<string, unknown>} architecture
 * @property {string[]} [labels]
 * @property {string} [out_of_scope_label]
 * @property {boolean} [multi_label]
 * @property {Record<string, number>} [thresholds]
 * @property {Record<string, number>} metrics
 * @property {Record<string, number>} limits
 */

export {};
