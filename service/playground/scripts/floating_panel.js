// A panel beside a token: shown while the token or the panel is hovered or focused.

const HIDE_DELAY_MS = 180; // long enough to move the pointer from the token into the panel
const MARGIN = 8;

/** Places an element of the page under an anchor. */
export class FloatingPanel {
  /** @param {HTMLElement} element positioned in the document, hidden at first */
  constructor(element) {
    this.element = element;
    this.timer = 0;
    element.addEventListener("pointerenter", () => clearTimeout(this.timer));
    element.addEventListener("pointerleave", () => this.hideSoon());
    element.addEventListener("focusin", () => clearTimeout(this.timer));
    element.addEventListener("focusout", () => this.hideSoon());
    document.addEventListener("pointerdown", (event) => {
      if (!element.contains(/** @type {Node} */ (event.target))) this.hide();
    });
    addEventListener("hashchange", () => this.hide());
  }

  /**
   * @param {HTMLElement} anchor
   * @param {...(Node | string)} children
   */
  show(anchor, ...children) {
    clearTimeout(this.timer);
    this.element.replaceChildren(...children);
    this.element.hidden = false;
    const lines = anchor.getClientRects(); // a token can be broken over two lines
    const box = lines[lines.length - 1] ?? anchor.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const left = Math.max(MARGIN, Math.min(box.left, document.documentElement.clientWidth - width - MARGIN));
    const below = box.bottom + MARGIN / 2;
    const fits = below + height + MARGIN <= innerHeight || box.top < height + MARGIN;
    const top = fits ? below : box.top - height - MARGIN / 2;
    this.element.style.left = `${left + scrollX}px`;
    this.element.style.top = `${top + scrollY}px`;
  }

  hideSoon() {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.hide(), HIDE_DELAY_MS);
  }

  hide() {
    clearTimeout(this.timer);
    this.element.hidden = true;
  }
}
