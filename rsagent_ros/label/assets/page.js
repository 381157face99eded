// The page: which goal is open, what is being drawn and written, and verdicts. Reading order: this file, drawing.js,
// outbox.js, list.js, stage.js, clicks.js, goal.js, server.js, store.js, keys.js, notices.js.

import { $, press } from "./build.js";
import { clicksOf, masksOf, pointed } from "./clicks.js";
import { Drawing } from "./drawing.js";
import * as panel from "./goal.js";
import * as keys from "./keys.js";
import * as list from "./list.js";
import { notice, noticed, toast } from "./notices.js";
import * as outbox from "./outbox.js";
import { Away, Refused, address, get } from "./server.js";
import * as stage from "./stage.js";
import * as store from "./store.js";

const SAVED = { accept: "accepted", reject: "rejected", absent: "absent", correct: "mask saved", note: "note saved" };
const CONNECTED = 2500, READING = 50, AWAY = 1000; // milliseconds until the list is asked for again
const judgements = [...document.querySelectorAll("[data-judgement]")];

let wanted = ""; // the record that is to be open
let goal = null; // what the server told about it; null while that is on its way
let steps = []; // clicks on it
let drawing = new Drawing(""); // what came of them
let judging = false;
let visible = true; // masks
let sign = "+"; // what a left click means
let version = ""; // of the list
let waitingForNext = false; // the goal that is open is done, and the next one is not listed yet
const trail = []; // records that were open before

// ---------------------------------------------------------------- the goal that is open

async function open(record) {
  if (wanted && wanted !== record) trail.push(wanted);
  [wanted, goal, steps, drawing, waitingForNext] = [record, null, [], new Drawing(record), false];
  history.replaceState(null, "", `#${encodeURIComponent(record)}`);
  list.select(record);
  $("note").value = $("empty").textContent = "";
  $("asked").replaceChildren();
  $("story").replaceChildren();
  $("goal").scrollTop = 0;
  window.scrollTo(0, 0);
  refresh();
  await fetchGoal();
}

/** Ask for the goal that is wanted; what is being drawn and written stays. */
async function fetchGoal() {
  const record = wanted, first = goal === null;
  try {
    const told = await get("goal", { record });
    if (first && record === wanted) await stage.open(address("frame", { record }), told.width, told.height);
    if (record !== wanted) return;
    goal = told;
  } catch (error) {
    if (error instanceof Away) away();
    else if (record === wanted) nothing(error.message);
    return;
  }
  if (first) restore();
  panel.show(goal, stage.turn);
  refresh();
  const next = list.beside(1);
  if (next && !next.problem) new Image().src = address("frame", { record: next.record }); // likely wanted next
}

function nothing(sentence) {
  goal = null;
  stage.close();
  $("empty").textContent = sentence;
  refresh();
}

const personal = () => goal?.verdicts.findLast((verdict) => verdict.source === "operator");

const draftOf = (record) => `draft ${record}`;

function keepDraft() {
  if (!goal) return;
  const note = $("note").value;
  if (!note && !steps.length) store.remove(draftOf(goal.record));
  else store.save(draftOf(goal.record), { note, steps });
  if (store.forgetful) notice("forgetful", "This browser keeps nothing: what is not saved is lost when the page is closed.");
}

function restore() {
  const draft = store.load(draftOf(goal.record), null);
  $("note").value = draft?.note ?? ""; // each verdict has a note of its own
  steps = draft?.steps ?? [];
  if (steps.length) redraw();
}

// ---------------------------------------------------------------- drawing

function step(next) {
  if (!goal || judging) return;
  const clicks = clicksOf(steps);
  // To say only what does not belong there makes sense where there is something already.
  const start = next.kind === "-" && !pointed(clicks) && !clicks.refine && goal.start;
  change([...steps, ...(start ? [{ kind: "start", implied: true }] : []), next]);
}

function undo() {
  if (judging) return;
  const left = steps.slice(0, -1);
  change(left.at(-1)?.implied ? left.slice(0, -1) : left);
}

function change(next) {
  steps = next;
  drawing.forgive();
  keepDraft();
  redraw();
}

/** Have masks drawn for the clicks as they are once the segmenter is free; those in between are skipped. */
function redraw() {
  const current = drawing;
  current.draw(() => (current === drawing && goal ? masksOf(steps) : []), away).then(refresh);
  refresh();
}

const anotherMask = () => !$("another").disabled && step({ kind: "next" });

// ---------------------------------------------------------------- verdicts

const told = {
  stored({ record, judgement, note }, row) {
    list.replace(row);
    toast(`${SAVED[judgement]}: ${row.instruction}`);
    if (record === wanted && note === $("note").value) $("note").value = "";
    if (record !== wanted || (judgement !== "note" && !$("note").value)) store.remove(draftOf(record));
    if (record !== wanted) return;
    const next = list.following();
    if (judgement === "note" || !next) fetchGoal();
    if (judgement === "note") return keepDraft();
    if (next) return open(next.record);
    [steps, drawing, waitingForNext] = [[], new Drawing(record), list.growing()];
    if (!waitingForNext) toast(`${SAVED[judgement]}. That was the last goal of the list.`);
  },
  refused({ record }, sentence) {
    const words = list.find(record)?.instruction ?? record;
    notice("refused", `Not stored, of “${words}”: ${sentence}`, "close", () => notice("refused"));
  },
};

function possible(judgement) {
  if (!goal || judging) return false;
  if (judgement === "accept") return !goal.not_acceptable;
  if (judgement === "correct") return masksOf(steps).some(pointed) && (drawing.busy || drawing.all(masksOf(steps)) !== null);
  if (judgement === "note") return Boolean(personal());
  return true;
}

async function judge(judgement) {
  if (!possible(judgement)) return;
  judging = true;
  refresh();
  if (judgement === "correct") await drawing.over;
  const verdict = { record: goal.record, judgement, note: $("note").value, annotator: $("annotator").value };
  const masks = judgement === "correct" ? drawing.all(masksOf(steps)) : [];
  if (masks?.length) verdict.masks = masks.map(({ mask }) => mask);
  if (masks) await send(() => outbox.put(verdict, told));
  judging = false;
  refresh();
}

/** Send what waits, and say what could not be sent. */
async function send(sending) {
  try {
    const stuck = await sending();
    notice("stuck", stuck && `${waits()} ${stuck}. It is tried again while this page is open.`, "discard", () => {
      if (!confirm("Discard the verdicts that could not be stored?")) return;
      outbox.discard();
      notice("stuck");
    });
  } catch (error) {
    if (!(error instanceof Away)) throw error;
    away();
  }
}

function waits() {
  const count = outbox.waiting().length;
  return count ? `${count} ${count === 1 ? "verdict waits" : "verdicts wait"} in this browser.` : "";
}

// ---------------------------------------------------------------- the server

function away() {
  notice("away", `The server is away; nothing is lost. Start \`rsagent label\` again as before and this page goes on. ${waits()}`);
}

async function follow() {
  let pause = CONNECTED;
  try {
    const answer = await get("goals", { known: version });
    const back = noticed("away");
    notice("away");
    if (answer.rows) receive(answer);
    if (answer.left) pause = READING;
    if (outbox.waiting().length) await send(() => outbox.flush(told));
    if (back && wanted && !goal) await fetchGoal();
    if (goal && drawing.left(masksOf(steps))) redraw();
  } catch (error) {
    if (error instanceof Away) {
      away();
      pause = AWAY;
    } else if (error instanceof Refused) {
      notice("list", error.message, "close", () => notice("list"));
    } else {
      throw error;
    }
  } finally {
    setTimeout(follow, pause);
  }
}

function receive(answer) {
  const { rows, path, left } = answer;
  version = left ? "" : answer.version;
  $("folder").textContent = path.split("/").findLast(Boolean) ?? path;
  $("folder").title = `${path}; masks are drawn by ${answer.segmenter}`;
  const before = list.find(wanted);
  list.show(rows, left);
  const now = list.find(wanted);
  const next = waitingForNext && list.following();
  if (!wanted) begin(left);
  else if (next) open(next.record);
  else if (goal && !judging && JSON.stringify(before) !== JSON.stringify(now)) fetchGoal(); // judged on another page
}

function begin(left = 0) {
  const asked = decodeURIComponent(location.hash.slice(1));
  const first = list.find(asked) ?? (asked && left ? undefined : list.beside(1));
  if (first) open(first.record);
  else if (!left) nothing("All of these goals are judged.");
}

// ---------------------------------------------------------------- what is seen

function refresh() {
  const clicks = clicksOf(steps), some = pointed(clicks), drawn = drawing.of(clicks), count = masksOf(steps).length;
  stage.masks(goal?.answers ?? [], newMasks(clicks), visible);
  stage.clicks(clicks);
  if (!goal) stage.turn(null);
  $("picture").classList.toggle("busy", drawing.busy);
  const size = drawn?.mask ? `${drawn.area} pixels, score ${drawn.score.toFixed(2)}` : "";
  const which = count > 1 ? `mask ${count}${size ? ": " : ", click on the thing"}` : "";
  $("said").textContent = drawing.busy ? "drawing…" : drawn?.error || which + size;
  $("said").classList.toggle("error", !drawing.busy && Boolean(drawn?.error));
  $("start").disabled = !goal?.start;
  $("undo").disabled = !steps.length;
  $("clear").disabled = !some && !clicks.refine;
  $("another").disabled = !some;
  press([$("start")], () => clicks.refine);
  press([$("masks")], () => visible);
  press([...$("sign").children], (button) => button.dataset.sign === sign);
  $("save").textContent = masksOf(steps).filter(pointed).length > 1 ? "Save my masks" : "Save my mask";
  for (const button of judgements) {
    button.disabled = !possible(button.dataset.judgement);
    if (button.dataset.judgement === "accept") button.title = goal?.not_acceptable ?? "";
  }
  $("note").disabled = !goal;
  refreshNote();
}

function refreshNote() {
  const note = $("note").value.trim();
  $("keep").hidden = !personal() || !note || note === personal().note;
}

/** The outlines that stand in the answer's place. */
function newMasks(clicks) {
  const drawn = masksOf(steps).map((one) => pointed(one) && drawing.of(one)?.outline).filter(Boolean);
  if (!drawn.length && clicks.refine && goal?.start) return [goal.start];
  return drawn.length ? drawn : (goal?.verdicts.find((verdict) => verdict.counts)?.outlines ?? []);
}

// ---------------------------------------------------------------- hands

function go(places) {
  const next = list.beside(places);
  if (next && next.record !== wanted) open(next.record);
}

function goBack() {
  if (!trail.length) return;
  open(trail.pop());
  trail.pop(); // that one was put there by leaving it
}

function swap(next = sign === "+" ? "-" : "+") {
  sign = next;
  refresh();
}

function toggleMasks() {
  visible = !visible;
  refresh();
}

const acts = {
  a: () => judge("accept"),
  r: () => judge("reject"),
  x: () => judge("absent"),
  s: () => judge("correct"),
  n: () => $("note").focus(),
  t: () => swap(),
  e: () => goal?.start && step({ kind: "start" }),
  u: undo,
  c: () => !$("clear").disabled && step({ kind: "clear" }),
  d: anotherMask,
  m: toggleMasks,
  f: stage.whole,
  j: () => go(1),
  k: () => go(-1),
  b: goBack,
  "/": () => $("words").focus(),
  "?": () => $("help").showModal(),
};
keys.wire({ ...acts, ArrowDown: acts.j, ArrowUp: acts.k }, { start: "e", another: "d", undo: "u", clear: "c", masks: "m", whole: "f", keys: "?" });
for (const button of $("sign").children) button.addEventListener("click", () => swap(button.dataset.sign));
for (const button of judgements) button.addEventListener("click", () => judge(button.dataset.judgement));
$("note").addEventListener("input", () => {
  keepDraft();
  refreshNote();
});
$("annotator").value = store.load("annotator", "");
$("annotator").addEventListener("input", () => store.save("annotator", $("annotator").value));
window.addEventListener("hashchange", () => {
  const record = decodeURIComponent(location.hash.slice(1));
  if (record && record !== wanted) open(record);
});
list.wire(open, () => wanted || begin());
stage.wire(
  (at, positive) => step({ kind: positive === (sign === "+") ? "+" : "-", at }),
  (box) => step({ kind: "box", box }),
);
refresh();
follow();
