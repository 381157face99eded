"use strict";
const turns = [...document.querySelectorAll(".turn")];

function focusTurn(step) {
  const here = turns.indexOf(document.activeElement);
  const next = turns[Math.min(turns.length - 1, Math.max(0, here + step))];
  if (next) {
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "center" });
  }
}

function toggleMasks() {
  document.body.classList.toggle("unmasked");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j") focusTurn(1);
  if (event.key === "k") focusTurn(-1);
  if (event.key === "m") toggleMasks();
});
for (const figure of document.querySelectorAll(".toggle")) figure.addEventListener("click", toggleMasks);
