// Light or dark: the preference of the browser until the button chooses.

import { find } from "./dom.js";

const STORAGE_NAME = "unroll-theme";

/** Makes the button of the page header work. */
export function startTheme() {
  apply(localStorage.getItem(STORAGE_NAME));
  find("#theme").addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    localStorage.setItem(STORAGE_NAME, next);
    apply(next);
    document.dispatchEvent(new Event("themechange"));
  });
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** @param {string | null} theme */
function apply(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  find("#theme").setAttribute("aria-label", isDark() ? "Use light colors" : "Use dark colors");
}
