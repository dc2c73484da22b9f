// One running request of a view: the newest replaces older ones, and failures become notices.

import { make } from "./dom.js";
import { ConnectionError, ServiceError } from "./service.js";

/** A message of the view itself, shown instead of a result. */
export class NoticeError extends Error {}

/** Runs actions one at a time and reports their failures in a notice of the view. */
export class Task {
  /** @param {HTMLElement} notice an element with role="status" */
  constructor(notice) {
    this.notice = notice;
    this.timer = 0;
    /** @type {AbortController | null} */
    this.controller = null;
  }

  /**
   * Runs `action`, after aborting the one before.
   * @param {(signal: AbortSignal) => Promise<void>} action
   * @returns {Promise<void>} never rejects
   */
  async run(action) {
    this.stop();
    const controller = new AbortController();
    this.controller = controller;
    try {
      await action(controller.signal);
      if (!controller.signal.aborted) this.clear();
    } catch (error) {
      if (!controller.signal.aborted) this.report(error, () => this.run(action));
    } finally {
      if (this.controller === controller) this.controller = null;
    }
  }

  /** Whether an action is under way. */
  get running() {
    return this.controller !== null;
  }

  /** Aborts the action under way, and a retry that waits. */
  stop() {
    clearTimeout(this.timer);
    this.controller?.abort();
    this.controller = null;
  }

  /** Removes the notice. */
  clear() {
    this.notice.replaceChildren();
  }

  /** Shows a notice. @param {...(Node | string)} children */
  show(...children) {
    this.notice.replaceChildren(...children);
  }

  /**
   * @param {unknown} error
   * @param {() => void} retry
   */
  report(error, retry) {
    if (error instanceof ServiceError && error.retryAfterSeconds !== undefined) {
      this.countDown(Math.max(1, Math.round(error.retryAfterSeconds)), retry);
    } else if (error instanceof ConnectionError) {
      const button = make("button", { type: "button", onclick: retry }, "Try again");
      this.show(`${error.message} `, button);
    } else if (error instanceof ServiceError || error instanceof NoticeError) {
      this.show(sentence(error.message));
    } else {
      this.show("The page failed. The browser's console has the cause.");
      console.error(error);
    }
  }

  /** @param {number} seconds @param {() => void} retry */
  countDown(seconds, retry) {
    if (seconds === 0) {
      retry();
      return;
    }
    const cancel = () => {
      this.stop();
      this.clear();
    };
    const button = make("button", { type: "button", onclick: cancel }, "Cancel");
    this.show(`The service is busy. Next try in ${seconds} s. `, button);
    this.timer = window.setTimeout(() => this.countDown(seconds - 1, retry), 1000);
  }
}

/** @param {string} message */
function sentence(message) {
  const capitalized = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(capitalized) ? capitalized : `${capitalized}.`;
}
