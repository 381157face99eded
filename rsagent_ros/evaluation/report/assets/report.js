"use strict";
document.body.classList.add("scripted");
const filtered = [...document.querySelectorAll("[data-words]")];
const buttons = [...document.querySelectorAll(".filters [data-outcome]")];
const category = document.querySelector(".filters select");
const words = document.querySelector(".filters input");
const tally = document.querySelector(".tally");
const chosen = document.querySelector("#short");
let outcome = "", short = "";

function filter() {
  const sought = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0, sum = 0;
  for (const item of filtered) {
    const text = item.dataset.words.toLowerCase();
    const fits = (!outcome || item.dataset.outcome === outcome)
      && (!short || (item.dataset.short ?? "").split(" ").includes(short))
      && (!category || !category.value || "=" + item.dataset.category === category.value)
      && sought.every((word) => text.includes(word));
    item.hidden = !fits;
    if (fits && item.dataset.iou) {
      count += 1;
      sum += Number(item.dataset.iou);
    }
  }
  tally.textContent = count ? `${count} samples, gIoU ${(sum / count).toFixed(3)}` : "no sample";
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    outcome = button.dataset.outcome;
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    filter();
  });
}
function shortOf(name, title) {
  short = name;
  chosen.hidden = !name;
  chosen.textContent = `${title} ✕`;
  filter();
}
for (const card of document.querySelectorAll("a.card")) {
  card.addEventListener("click", () => shortOf(card.dataset.short, card.dataset.title));
}
chosen.addEventListener("click", () => shortOf("", ""));

if (category) category.addEventListener("change", filter);
words.addEventListener("input", filter);
filter();

for (const head of document.querySelectorAll("th[data-sort]")) {
  let up = false;
  head.addEventListener("click", () => {
    up = !up;
    const body = head.closest("table").tBodies[0];
    const column = head.cellIndex;
    const value = (row) => {
      const text = row.cells[column].textContent.trim();
      return head.dataset.sort === "number" ? (text === "" ? -Infinity : Number(text)) : text;
    };
    const rows = [...body.rows].map((row) => [value(row), row]);
    rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (up ? 1 : -1));
    body.append(...rows.map(([, row]) => row));
  });
}

function grow(frame) {
  const page = frame.contentDocument;
  if (page && page.documentElement) frame.style.height = `${page.documentElement.scrollHeight + 8}px`;
}
for (const details of document.querySelectorAll(".sample details")) {
  const frame = details.querySelector("iframe");
  frame.addEventListener("load", () => grow(frame));
  details.addEventListener("toggle", () => {
    const sample = details.closest(".sample");
    sample.classList.toggle("open", sample.querySelector("details[open]") !== null);
    if (details.open) requestAnimationFrame(() => grow(frame));
  });
}
