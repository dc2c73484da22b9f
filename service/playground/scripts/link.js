// The state of a view in the URL: #view?name=value&...

/**
 * @typedef {{view: string, parameters: URLSearchParams}} Link
 */

/** The view and the parameters that the URL names. @returns {Link} */
export function currentLink() {
  const [view, query = ""] = splitOnce(location.hash.slice(1), "?");
  return { view, parameters: new URLSearchParams(query) };
}

/**
 * Puts the state of a view into the URL, without a new entry in the history.
 * @param {string} view
 * @param {Record<string, string | number | undefined>} parameters empty ones are left out
 */
export function remember(view, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  history.replaceState(null, "", `#${view}${text && `?${text}`}`);
}

/** @param {string} text @param {string} separator */
function splitOnce(text, separator) {
  const position = text.indexOf(separator);
  return position < 0 ? [text] : [text.slice(0, position), text.slice(position + 1)];
}
