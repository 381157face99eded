"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const goals = all(".goal");
const turns = all(".turn");
const zoom = document.querySelector("#zoom");
const keys = document.querySelector("#keys");

function here(selector) {
  return document.activeElement?.closest(selector) ?? null;
}

function show(element, block) {
  element.scrollIntoView({ block });
}

function focusTurn(step) {
  const at = turns.indexOf(here(".turn"));
  const goal = here(".goal");
  const first = goal && at < 0 ? turns.findIndex((turn) => goal.contains(turn)) - (step > 0 ? 1 : 0) : at;
  openTurn(turns[Math.min(turns.length - 1, Math.max(0, first + step))]);
}

function openTurn(turn) {
  if (!turn) return;
  turn.closest(".goal").open = true;
  turn.firstElementChild.open = true;
  turn.focus({ preventScroll: true });
  show(turn, "center");
}

function focusGoal(step) {
  const at = goals.indexOf(here(".goal"));
  const next = goals[Math.min(goals.length - 1, Math.max(0, at + step))];
  next?.firstElementChild.focus({ preventScroll: true });
  if (next) show(next, "nearest");
}

const goalHere = () => here(".goal") ?? goals.find((goal) => goal.open) ?? goals[0];

function collapse() {
  const turn = here(".turn");
  const parts = turn ? [turn.firstElementChild] : all(".turn > details", goalHere());
  const open = !parts.some((part) => part.open);
  for (const part of parts) part.open = open;
}

function toggleMasks() {
  const off = document.body.classList.toggle("unmasked");
  for (const button of all(".masks")) button.setAttribute("aria-pressed", String(!off));
}

function enlarge(stage) {
  if (!stage) return;
  const copy = stage.cloneNode(true);
  const image = copy.querySelector("img");
  copy.style.setProperty("--shape", image.getAttribute("width") / image.getAttribute("height"));
  for (const one of all("img", copy)) one.loading = "eager";
  zoom.replaceChildren(copy);
  zoom.showModal();
}

function play(section) {
  const frames = all("figure", section);
  const slider = section.querySelector("input");
  const button = section.querySelector(".play");
  let timer = 0;
  const look = () => frames.forEach((frame, number) => (frame.hidden = number !== Number(slider.value)));
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "play";
  };
  const next = () => {
    if (Number(slider.value) >= frames.length - 1) return stop();
    slider.value = Number(slider.value) + 1;
    look();
  };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) >= frames.length - 1) slider.value = 0;
    look();
    button.textContent = "pause";
    timer = setInterval(next, 250);
  });
  slider.addEventListener("input", () => {
    stop();
    look();
  });
  const load = () => all("img", section).forEach((image) => (image.loading = "eager")); // the next one must be there in time
  for (const event of ["pointerenter", "focusin"]) section.addEventListener(event, load, { once: true });
  look();
}

function follow() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.matches(".turn")) openTurn(target);
  if (target && target.matches(".goal")) target.open = true;
}

const acts = {
  j: () => focusTurn(1),
  k: () => focusTurn(-1),
  n: () => focusGoal(1),
  p: () => focusGoal(-1),
  o: () => (goalHere().open = !goalHere().open),
  c: collapse,
  m: toggleMasks,
  z: () => enlarge((here(".turn") ?? goalHere())?.querySelector(".toggle, .stage")),
  "?": () => keys.showModal(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
  if (zoom.open && event.key !== "m") return;
  if (Object.hasOwn(acts, event.key)) acts[event.key]();
});
document.addEventListener("click", (event) => {
  if (event.target.closest("#zoom")) zoom.close();
  else enlarge(event.target.closest(".stage"));
});
for (const link of all(".strip a")) {
  link.addEventListener("click", (event) => {
    event.preventDefault(); // in a frame of another page the address would be that page's
    openTurn(document.getElementById(link.hash.slice(1)));
  });
}
for (const element of all(".scripted")) element.hidden = false;
for (const button of all(".masks")) button.addEventListener("click", toggleMasks);
document.querySelector("#ask").addEventListener("click", acts["?"]);
for (const section of all(".track")) {
  section.classList.add("played");
  play(section);
}
addEventListener("hashchange", follow);
follow();
