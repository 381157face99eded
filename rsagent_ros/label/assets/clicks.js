// What a person pointed at, as steps that can be taken back one by one.

export const NONE = { positive: [], negative: [], box: null, refine: false };

/** The clicks that the steps make together, in pixels of the image. */
export function clicksOf(steps) {
  let clicks = NONE;
  for (const step of steps) {
    if (step.kind === "clear") clicks = NONE;
    if (step.kind === "+") clicks = { ...clicks, positive: [...clicks.positive, step.at] };
    if (step.kind === "-") clicks = { ...clicks, negative: [...clicks.negative, step.at] };
    if (step.kind === "box") clicks = { ...clicks, box: step.box };
    if (step.kind === "start") clicks = { ...clicks, refine: !clicks.refine };
  }
  return clicks;
}

export const pointed = (clicks) => clicks.positive.length > 0 || clicks.negative.length > 0 || clicks.box !== null;
