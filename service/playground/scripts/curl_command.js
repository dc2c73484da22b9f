// The curl command that sends the request of a view.

import { find } from "./dom.js";

/**
 * @param {string} path
 * @param {object} [fields] the body of a POST; none for a GET
 * @param {string} [options] further options of curl
 */
export function curlCommand(path, fields, options = "") {
  const url = new URL(path, document.baseURI).href;
  if (fields === undefined) return `curl ${url}`;
  const json = JSON.stringify(fields).replaceAll("'", "'\\''");
  return `curl ${options && `${options} `}${url} \\\n  -H 'Content-Type: application/json' \\\n  -d '${json}'`;
}

/**
 * Shows a command in a `details.curl` element, whose button copies it.
 * @param {HTMLElement} details
 * @param {string} command
 */
export function showCurl(details, command) {
  find("code", details).textContent = command;
  /** @type {HTMLButtonElement} */
  const button = find("button", details);
  button.onclick = () => copy(command, button);
}

/**
 * Copies text and says so on the button for a moment.
 * @param {string} text
 * @param {HTMLButtonElement} button
 */
export async function copy(text, button) {
  const label = (button.dataset.label ??= button.textContent ?? "");
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not copied: the browser refused"; // outside https and localhost
  }
  setTimeout(() => (button.textContent = label), 1500);
}
