// The API key: kept for this tab, asked for in a dialog when the service answers 401.

import { find } from "./dom.js";

const STORAGE_NAME = "unroll-api-key";

/** @type {Promise<boolean> | null} */
let asking = null;

/** The key of this tab; empty if there is none. */
export function storedKey() {
  return sessionStorage.getItem(STORAGE_NAME) ?? "";
}

/**
 * Asks for a key, once however many requests wait for it.
 * @param {string} refused the key that the failed request was sent with
 * @param {string} reason shown in the dialog
 * @returns {Promise<boolean>} whether there is a new key to try
 */
export function askForKey(refused, reason) {
  if (storedKey() !== refused) return Promise.resolve(true); // another request has asked
  asking ??= openDialog(reason).finally(() => {
    asking = null;
  });
  return asking;
}

/** @param {string} reason @returns {Promise<boolean>} */
function openDialog(reason) {
  /** @type {HTMLDialogElement} */
  const dialog = find("#key-dialog");
  /** @type {HTMLInputElement} */
  const input = find("#key-input");
  find("#key-reason").textContent = `The service says: ${reason}.`;
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const key = input.value.trim();
        const given = dialog.returnValue === "use" && key !== "";
        if (given) sessionStorage.setItem(STORAGE_NAME, key);
        resolve(given);
      },
      { once: true },
    );
  });
}
