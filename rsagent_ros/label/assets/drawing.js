// Masks that the segmenter has drawn for the clicks on one goal. What was drawn once is not drawn again.

import { Away, post } from "./server.js";
import { pointed } from "./clicks.js";

export class Drawing {
  #record;
  #drawn = new Map(); // of clicks, as text: { mask, outline, area, score }, or { error }
  over = null; // a promise while the segmenter is at work

  constructor(record) {
    this.#record = record;
  }

  get busy() {
    return this.over !== null;
  }

  /** What came of clicks; undefined if nothing did yet. */
  of(clicks) {
    return this.#drawn.get(JSON.stringify(clicks));
  }

  /** The masks of all that was pointed at; null while one is missing or failed. */
  all(masks) {
    const drawn = masks.filter(pointed).map((clicks) => this.of(clicks));
    return drawn.length && drawn.every((one) => one?.mask) ? drawn : null;
  }

  /** Clicks that nothing came of yet. */
  left(masks) {
    return masks.find((clicks) => pointed(clicks) && !this.of(clicks));
  }

  /** Whatever failed may be tried again. */
  forgive() {
    for (const [clicks, answer] of this.#drawn) if (answer.error) this.#drawn.delete(clicks);
  }

  /** Draw what `wanted()` asks for, until nothing is left. With `away()` where the server is: ask again when it is back. */
  draw(wanted, away) {
    this.over ??= this.#draw(wanted, away).finally(() => (this.over = null));
    return this.over;
  }

  async #draw(wanted, away) {
    for (let clicks; (clicks = this.left(wanted())); ) {
      try {
        this.#drawn.set(JSON.stringify(clicks), await post("draw", { record: this.#record, clicks }, 300));
      } catch (error) {
        if (error instanceof Away) return away();
        this.#drawn.set(JSON.stringify(clicks), { error: error.message });
      }
    }
  }
}
