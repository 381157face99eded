// The list of goals: progress, filters, and which one comes next.

import { $, el, press } from "./build.js";

let rows = [];
let unread = 0; // files that the server has not read yet
let current = "";
let which = "todo";
const made = new Map(); // of each key: its row, and the element that shows it

/** `choose(key)` is called when somebody clicks on a goal, `changed()` when a filter is another one. */
export function wire(choose, changed) {
  $("rows").addEventListener("click", (event) => {
    const item = event.target.closest("li");
    if (item) choose(item.dataset.record);
  });
  const buttons = [...$("which").children];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      which = button.dataset.which;
      press(buttons, (one) => one === button);
      draw();
      changed();
    });
  }
  for (const [id, event] of [["outcome", "change"], ["day", "change"], ["words", "input"]]) {
    $(id).addEventListener(event, () => {
      draw();
      changed();
    });
  }
}

/** All rows that the server knows, and how many files it has not read yet. */
export function show(list, left) {
  const told = new Set(list.map((row) => row.record));
  // A server that has only just started reads them again; what was known of the rest still holds.
  const rest = left ? rows.filter((row) => !told.has(row.record)) : [];
  rows = [...list, ...rest].sort((a, b) => (a.record < b.record ? -1 : 1));
  unread = left;
  options($("outcome"), "any outcome", rows.map((row) => [row.outcome ?? "", row.title]));
  options($("day"), "any day", rows.map((row) => [row.day, row.day]));
  draw();
}

/** Whether goals may still be added, as the server has not read them all. */
export const growing = () => unread > 0;

/** A row that is known before the list is asked for again. */
export function replace(row) {
  rows = rows.map((one) => (one.record === row.record ? row : one));
  draw();
}

export function select(key) {
  current = key;
  draw();
  const element = made.get(key)?.element;
  if (!element?.isConnected) return;
  const inner = element.getBoundingClientRect(), outer = $("rows").getBoundingClientRect(); // the page itself is not to move
  $("rows").scrollTop += Math.min(0, inner.top - outer.top) + Math.max(0, inner.bottom - outer.bottom);
}

export const find = (key) => rows.find((row) => row.record === key);

/** The goal so many places further in what is shown. */
export function beside(step) {
  const shown = fitting();
  const here = shown.findIndex((row) => row.record === current);
  return here < 0 ? shown[0] : shown[here + step];
}

/** The goal to go on with after a verdict: of those to do, the first comes after the last. */
export function following() {
  return beside(1) ?? (which === "todo" ? fitting().find((row) => row.record !== current) : undefined);
}

function narrowed() {
  const words = $("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const { value: outcome } = $("outcome"), { value: day } = $("day");
  return rows.filter((row) => {
    const text = `${row.instruction} ${row.record}`.toLowerCase();
    return (!outcome || row.outcome === outcome) && (!day || row.day === day) && words.every((word) => text.includes(word));
  });
}

/** What the filters leave, and the goal that is open whatever they say: it must not vanish under one's hands. */
function fitting(some = narrowed()) {
  if (which === "all") return some;
  return some.filter((row) => row.record === current || (which === "done" ? row.judged : !row.judged && !row.problem));
}

function draw() {
  const some = narrowed(), shown = fitting(some);
  const usable = some.filter((row) => !row.problem), judged = usable.filter((row) => row.judged).length;
  const broken = some.length - usable.length;
  $("tally").textContent = `${judged} of ${usable.length} judged${broken ? `, ${broken} can't be read` : ""}${unread ? `, ${unread} more are being listed` : ""}`;
  const progress = $("progress");
  progress.setAttribute("aria-valuemax", usable.length);
  progress.setAttribute("aria-valuenow", judged);
  progress.firstElementChild.style.width = `${usable.length ? (100 * judged) / usable.length : 0}%`;
  const items = shown.map(item);
  if (!items.length) items.push(el("li", { class: "none" }, rows.length ? "no goal fits" : ""));
  place($("rows"), items);
}

/** Make these the children, and touch only those that change: thousands that stay cost no time. */
function place(parent, items) {
  const kept = new Set(items);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  let here = parent.firstChild;
  for (const item of items) {
    if (item === here) here = here.nextSibling;
    else parent.insertBefore(item, here);
  }
}

function item(row) {
  const known = made.get(row.record);
  const element = known?.row === row ? known.element : entry(row);
  made.set(row.record, { row, element });
  if ((row.record === current) !== element.hasAttribute("aria-current")) {
    if (row.record === current) element.setAttribute("aria-current", "true");
    else element.removeAttribute("aria-current");
  }
  return element;
}

function entry(row) {
  const state = row.problem ? "broken" : row.state && !row.judged ? `${row.state} unseen` : row.state;
  const told = row.problem || (row.state ? `${row.state}${row.judged ? "" : ", but by no person yet"}` : "not judged yet");
  return el(
    "li",
    { "data-record": row.record, title: told },
    el("i", { class: `state ${state}` }),
    el("span", { class: "words" }, row.problem ? row.record : row.instruction),
    el("span", { class: "soft" }, row.problem ? "can't be read" : `${row.time} · ${row.title || "unknown"}`),
  );
}

function options(select, any, pairs) {
  const known = new Map([["", any], ...pairs.filter(([value]) => value).sort()]);
  const { value } = select;
  if ([...known.keys()].join() === [...select.options].map((option) => option.value).join() && select.options.length) return;
  select.replaceChildren(...[...known].map(([key, title]) => el("option", { value: key }, title)));
  select.value = known.has(value) ? value : "";
}
