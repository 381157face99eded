// The picture: masks and clicks over the frame, closer and further, and what the mouse says about it.

import { $, svg } from "./build.js";

const DRAG = 5; // pixels of the screen by which a hand does not shake
const CLOSEST = 32; // pixels of the image that are seen at the least
let size = [1, 1];
let masked = null; // the outlines that are drawn
let seen = [0, 0, 1, 1]; // x, y, width, height in pixels of the image

/** `point([x, y], positive)` and `box([x0, y0, x1, y1])` are called with pixels of the image. */
export function wire(point, box) {
  const picture = $("picture");
  let down = null;
  picture.addEventListener("contextmenu", (event) => event.preventDefault());
  picture.addEventListener("pointerdown", (event) => {
    if (event.button > 2 || !event.isPrimary) return;
    event.preventDefault();
    document.activeElement?.blur(); // the keys are for the picture again
    picture.setPointerCapture(event.pointerId);
    down = { event, at: place(event), from: seen, dragged: false };
  });
  picture.addEventListener("pointermove", (event) => {
    if (!down) return;
    down.dragged ||= Math.hypot(event.clientX - down.event.clientX, event.clientY - down.event.clientY) > DRAG;
    if (!down.dragged) return;
    if (down.event.button === 0) drag(corners(down.at, place(event)));
    else {
      const scale = picture.getScreenCTM().a;
      const [dx, dy] = [(event.clientX - down.event.clientX) / scale, (event.clientY - down.event.clientY) / scale];
      look(down.from[0] - dx, down.from[1] - dy, down.from[2]);
    }
  });
  picture.addEventListener("pointerup", (event) => {
    if (!down) return;
    const { at, dragged, event: { button, shiftKey } } = down;
    down = null;
    drag(null);
    if (!dragged && inside(at)) point(at, button === 0 && !shiftKey);
    if (!dragged || button !== 0) return;
    const [x0, y0, x1, y1] = corners(at, place(event));
    if (x1 - x0 >= 1 && y1 - y0 >= 1) box([x0, y0, x1, y1]);
  });
  picture.addEventListener("pointercancel", () => {
    down = null;
    drag(null);
  });
  picture.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const [x, y] = place(event);
      const width = Math.min(size[0], Math.max(CLOSEST, seen[2] * Math.exp(event.deltaY / 400)));
      const part = width / seen[2];
      look(x - (x - seen[0]) * part, y - (y - seen[1]) * part, width);
    },
    { passive: false },
  );
}

/** Show a frame of this size; resolves when it is there. */
export function open(url, width, height) {
  size = [width, height];
  for (const element of [$("frame"), $("dim"), $("lit"), $("lit").firstElementChild]) {
    element.setAttribute("width", width);
    element.setAttribute("height", height);
  }
  const frame = $("frame");
  frame.removeAttribute("href");
  whole();
  return new Promise((resolve, reject) => {
    frame.onload = resolve;
    frame.onerror = () => reject(new Error("The image can't be had from the server."));
    frame.setAttribute("href", url);
  });
}

export function close() {
  $("frame").removeAttribute("href");
}

export function whole() {
  look(0, 0, size[0]);
}

/** The outlines of the answer, those of the mask that counts instead, and whether either is to be seen. */
export function masks(answers, drawn, visible) {
  $("picture").classList.toggle("bare", !visible);
  const now = [answers, drawn].map((outlines) => outlines.join(" ")).join("|");
  if (now === masked) return; // outlines may be long
  masked = now;
  const lit = drawn.length ? drawn : answers;
  $("dim").toggleAttribute("hidden", !lit.length);
  $("holes").replaceChildren(...lit.map((d) => svg("path", { d })));
  $("answer").replaceChildren(...answers.flatMap(edge));
  $("answer").classList.toggle("before", drawn.length > 0);
  $("drawn").replaceChildren(...drawn.flatMap(edge));
  if (drawn.length > 1) $("drawn").append(...[...$("drawn").querySelectorAll("path:not(.under)")].map(number));
}

/** The number of an outline that is drawn, in its middle. */
function number(path, index) {
  const { x, y, width, height } = path.getBBox();
  return svg("text", { x: x + width / 2, y: y + height / 2, "font-size": size[0] / 30 }, String(index + 1));
}

export function clicks({ positive, negative, box }) {
  const marks = box ? frames(box) : [];
  for (const [points, name] of [[negative, "negative"], [positive, "positive"]]) marks.push(...points.flatMap((at) => dot(at, name)));
  $("clicks").replaceChildren(...marks);
}

/** What the agent pointed at in a turn; null for nothing. */
export function turn(shown) {
  const marks = shown?.box ? frames(shown.box) : [];
  for (const name of ["negative", "positive"]) marks.push(...(shown?.[name] ?? []).flatMap((at) => dot(at, name)));
  $("turn").replaceChildren(...marks);
}

// A dark line under each bright one: it must be seen on any picture.
const edge = (d) => [svg("path", { d, class: "under" }), svg("path", { d })];

const dot = ([x, y], name) => [svg("path", { class: `${name} rim`, d: `M${x},${y}h0` }), svg("path", { class: name, d: `M${x},${y}h0` })];

const frames = ([x, y, x1, y1]) => ["under", "box"].map((name) => svg("rect", { class: name, x, y, width: x1 - x, height: y1 - y }));

let dragging = [];
function drag(box) {
  for (const mark of dragging) mark.remove();
  dragging = box ? frames(box) : [];
  $("clicks").append(...dragging);
}

function look(x, y, width) {
  const height = (width * size[1]) / size[0];
  seen = [clamp(x, size[0] - width), clamp(y, size[1] - height), width, height];
  $("picture").setAttribute("viewBox", seen.join(" "));
  $("picture").classList.toggle("close", width < size[0] / 3);
}

const clamp = (value, most) => Math.min(Math.max(0, value), Math.max(0, most));

/** Where on the image the mouse is, to a quarter of a pixel. */
function place(event) {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform($("picture").getScreenCTM().inverse());
  return [at.x, at.y].map((value) => Math.round(4 * value) / 4);
}

const inside = ([x, y]) => x >= 0 && y >= 0 && x <= size[0] && y <= size[1];

function corners([ax, ay], [bx, by]) {
  const [x0, x1] = [ax, bx].map((x) => clamp(x, size[0])).sort((a, b) => a - b);
  const [y0, y1] = [ay, by].map((y) => clamp(y, size[1])).sort((a, b) => a - b);
  return [x0, y0, x1, y1];
}
