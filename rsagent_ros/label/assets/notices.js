// Sentences at the top that stay until what they say is over, and short words that go by themselves.

import { $, el } from "./build.js";

const SHORT = 2500; // milliseconds
const notices = new Map();
let fading;

/** Show a sentence, with a button if there is something to do; without one, take the last of that name away. */
export function notice(name, sentence = "", action = "", act = null) {
  if (sentence === (notices.get(name)?.dataset.sentence ?? "")) return;
  notices.get(name)?.remove();
  notices.delete(name);
  if (!sentence) return;
  const line = el("p", { class: name, "data-sentence": sentence }, el("span", {}, sentence));
  if (action) {
    const button = el("button", { type: "button" }, action);
    button.addEventListener("click", act);
    line.append(button);
  }
  notices.set(name, line);
  $("notices").append(line);
}

export const noticed = (name) => notices.has(name);

export function toast(words) {
  $("toast").textContent = words;
  clearTimeout(fading);
  fading = setTimeout(() => ($("toast").textContent = ""), SHORT);
}
