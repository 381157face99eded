// The goal that is open: its instruction, its end, its verdicts, and the turns of the agent.

import { $, el } from "./build.js";
import { address } from "./server.js";

const SOURCES = { operator: "a person", grasp: "the gripper", planner: "the planner" };

export function show(goal, onTurn) {
  $("asked").replaceChildren(
    el("h2", {}, `“${goal.instruction}”`),
    el(
      "p",
      {},
      el("span", { class: `chip ${goal.outcome ?? ""}` }, goal.title),
      goal.partial ? el("span", { class: "chip" }, "best mask so far") : "",
      goal.confidences.length ? el("span", { class: "soft" }, `confidence ${goal.confidences.map((one) => one.toFixed(2)).join(", ")}`) : "",
    ),
    goal.said ? el("p", { class: "told" }, goal.said) : "",
    el("p", { class: "soft" }, [`${goal.when} UTC`, goal.camera, `${goal.width} × ${goal.height}`].filter(Boolean).join(" · ")),
    ...goal.complaints.map((sentence) => el("p", { class: "warn" }, sentence)),
  );
  $("story").replaceChildren(...verdicts(goal), ...turns(goal, onTurn));
}

function verdicts(goal) {
  if (!goal.verdicts.length) return [];
  const lines = goal.verdicts.map((verdict) =>
    el(
      "li",
      { class: verdict.counts ? "counts" : "" },
      el("i", { class: `state ${verdict.state}` }),
      el("span", {}, verdict.outlines.length > 1 ? `${verdict.state} (${verdict.outlines.length} masks)` : verdict.state, el("span", { class: "soft" }, ` by ${verdict.annotator || SOURCES[verdict.source]}, ${verdict.when}`)),
      verdict.note ? el("p", {}, verdict.note) : "",
    ),
  );
  return [el("h3", {}, lines.length > 1 ? "Verdicts, the newest counts" : "Verdict"), el("ol", { class: "verdicts" }, ...lines.reverse())];
}

function turns(goal, onTurn) {
  const items = goal.turns.map((turn) => {
    const item = el(
      "li",
      { class: "turn" },
      el("p", { class: "thought" }, el("b", {}, `${turn.index} `), turn.thought || "(no thought)"),
      turn.tool ? el("p", {}, el("b", {}, turn.tool), " ", el("code", {}, turn.arguments)) : el("pre", {}, turn.reply),
      turn.error ? el("p", { class: "error" }, turn.error) : "",
      turn.picture ? el("img", { loading: "lazy", alt: "what came back", src: address("turn", { record: goal.record, number: turn.number }) }) : "",
    );
    item.addEventListener("pointerenter", () => onTurn(turn));
    item.addEventListener("pointerleave", () => onTurn(null));
    return item;
  });
  const told = [goal.policy, goal.segmenter, `${(goal.seconds ?? 0).toFixed(2)} s`].filter(Boolean).join(" · ");
  return [el("h3", {}, `How the agent got there`), el("p", { class: "soft" }, told), el("ol", { class: "turns" }, ...items)];
}
