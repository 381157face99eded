// Keys and buttons. Which key does what is said once more in page.html, for people.

import { $ } from "./build.js";

const HELD = new Set(["j", "k", "ArrowDown", "ArrowUp", "u"]); // a key that is held down must not judge a whole day

/** `acts` by their keys; `buttons` by the ids of those that do the same. */
export function wire(acts, buttons) {
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if ($("help").open) return;
    if (target.matches("textarea, input, select")) {
      if (key !== "Escape") return;
      event.preventDefault(); // it would clear the search
      target.blur();
      return;
    }
    const undoing = (event.ctrlKey || event.metaKey) && key === "z";
    if ((event.ctrlKey || event.metaKey || event.altKey) && !undoing) return;
    const name = undoing ? "u" : key.length === 1 ? key.toLowerCase() : key; // as with the Caps Lock
    if (!Object.hasOwn(acts, name)) return;
    event.preventDefault();
    if (!event.repeat || HELD.has(name)) acts[name]();
  });
  for (const [id, key] of Object.entries(buttons)) $(id).addEventListener("click", () => acts[key]());
  document.addEventListener("click", (event) => event.target.closest("button")?.blur()); // else Space would press it again
}
