// Requests to the service that served the page.

import { askForKey, storedKey } from "./api_key.js";

/** A response with an error status. */
export class ServiceError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {number} [retryAfterSeconds] from the Retry-After header of status 429
   */
  constructor(status, message, retryAfterSeconds) {
    super(message);
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The service cannot be reached, or the connection broke. */
export class ConnectionError extends Error {}

/**
 * The JSON body of `GET path`.
 * @param {string} path relative to the page, without a leading slash
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function get(path, signal) {
  return body(await send(path, { signal }));
}

/**
 * The JSON body of the response to a POST of JSON.
 * @param {string} path relative to the page, without a leading slash
 * @param {object} fields
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function post(path, fields, signal) {
  return body(await send(path, postOptions(fields, signal)));
}

/**
 * The events of a streaming POST (server-sent events).
 * @param {string} path
 * @param {object} fields
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<import("./api_types.js").StreamEvent>}
 */
export async function* stream(path, fields, signal) {
  const response = await send(path, postOptions(fields, signal));
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await read(reader);
    if (done) return;
    const blocks = (pending + value).split("\n\n");
    pending = blocks.pop() ?? "";
    for (const block of blocks) {
      if (!block.startsWith("data: ")) continue; // a comment keeps the connection open
      const event = JSON.parse(block.slice("data: ".length));
      if (event.error) throw new ServiceError(500, event.error.message);
      yield event;
    }
  }
}

/** @param {object} fields @param {AbortSignal} [signal] @returns {RequestInit} */
function postOptions(fields, signal) {
  return {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
    signal,
  };
}

/** @param {ReadableStreamDefaultReader<string>} reader */
async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    throw connectionError(error);
  }
}

/** @param {Response} response */
async function body(response) {
  try {
    return await response.json();
  } catch (error) {
    throw connectionError(error);
  }
}

/**
 * Sends a request, asks for an API key where one is needed, and raises error statuses.
 * @param {string} path
 * @param {RequestInit} options
 * @returns {Promise<Response>}
 */
async function send(path, options) {
  for (;;) {
    const key = storedKey();
    const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
    /** @type {Response} */
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch (error) {
      throw connectionError(error);
    }
    if (response.ok) return response;
    const error = await serviceError(response);
    if (error.status !== 401 || !(await askForKey(key, error.message))) throw error;
  }
}

/** @param {unknown} error */
function connectionError(error) {
  if (error instanceof DOMException && error.name === "AbortError") return error;
  return new ConnectionError("The connection to the service is lost.");
}

/** @param {Response} response */
async function serviceError(response) {
  let message = `The service answered with status ${response.status}.`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // a proxy's page of its own
  }
  const retryAfter = Number(response.headers.get("Retry-After") ?? "1");
  return new ServiceError(response.status, message, response.status === 429 ? retryAfter : undefined);
}
