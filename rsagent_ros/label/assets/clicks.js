// What a person pointed at, as steps that can be taken back one by one.

export const NONE = { positive: [], negative: [], box: null, refine: false };

/** The clicks of each mask that the steps make, in pixels of the image; the last is the one that is being drawn. */
export function masksOf(steps) {
  let clicks = NONE;
  const done = [];
  for (const step of steps) {
    if (step.kind === "next") {
      done.push(clicks);
      clicks = NONE;
    }
    if (step.kind === "clear") clicks = NONE;
    if (step.kind === "+") clicks = { ...clicks, positive: [...clicks.positive, step.at] };
    if (step.kind === "-") clicks = { ...clicks, negative: [...clicks.negative, step.at] };
    if (step.kind === "box") clicks = { ...clicks, box: step.box };
    if (step.kind === "start") clicks = { ...clicks, refine: !clicks.refine };
  }
  return [...done, clicks];
}

export const clicksOf = (steps) => masksOf(steps).at(-1);

export const pointed = (clicks) => clicks.positive.length > 0 || clicks.negative.length > 0 || clicks.box !== null;
