"""`make demo`: a simulated camera and the agent's node, each in its own process, and ten goals over ROS 2.

    source environment/activate && python examples/demo.py [--out out/demo] [--tiny]

One goal is absent, one needs a correction because the segmenter's first mask is wrong, one is cancelled half-way, one
is ambiguous, so that the agent asks back, and the next one answers its question. One means several things, which are
marked through words, and one names a thing that the default does not know: it says that it can't tell. The last one is
tracked while the camera moves (`demo_track`: `tracked.png`, `tracked.json`, and a player in `index.html`).

Writes a folder per goal, `index.html` with all of them, and `result.json` with the outcome, the expected one, and the
IoU with the simulator's truth. Exit code 0 when all is as expected.

The node records every goal, a bag is recorded beside it, and the truth is sent back as verdicts. `demo_log` then
replays all of that without ROS, and evaluates it: `evaluation/index.html`.

With --tiny the node runs a vision-language model, SAM 2.1 and a detector that takes words from checkpoints on disk, as
a robot with weights does.
They are tiny and random, so they talk nonsense: all that is expected then is a clean end of every goal.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
from demo_goal import EndedGoal
from demo_log import from_the_log
from demo_process import ROOT, Process
from demo_track import track_one

from rsagent_ros.agent.accounting import counted
from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Turn
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import load_examples
from rsagent_ros.ros.client import Agent, Answer
from rsagent_ros.viewer.folder import write_folder
from rsagent_ros.viewer.page import render
from rsagent_training.simulate import UNKNOWN_NOUN

TIME_BUDGET = 60.0
"""Seconds a goal may take: far more than it does, so that a busy machine changes nothing."""

RIGHT = 0.9
"""IoU from which on the demo's operator accepts a mask as it is."""

START_SECONDS = 60.0
DOMAIN = "101"
"""ROS domain of the demo where the caller chose none, so that it meets no other robot."""

REMAPS = [f"{name}:=/camera/{name}" for name in ("image", "camera_info", "depth")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns 0 when every goal ended as expected."""
    parser = argparse.ArgumentParser(description="A simulated camera, the agent's node, and ten goals over ROS 2.")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo", help="replaced (default: out/demo)")
    parser.add_argument("--tiny", action="store_true", help="policy local and segmenter sam2, on random checkpoints")
    arguments = parser.parse_args(argv)
    out: Path = arguments.out
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    os.environ.setdefault("ROS_DOMAIN_ID", DOMAIN)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with ExitStack() as stack:
        print("starting the simulated camera and the agent ...", flush=True)
        camera = [str(ROOT / "examples" / "sim_camera.py"), "--ros-args", "-p", f"truth_dir:={out / 'truth'}"]
        stack.enter_context(Process("camera", camera, out))
        bag = [str(ROOT / "examples" / "record_bag.py"), str(out / "bag")]
        stack.enter_context(Process("bag", bag, out))
        node = ["-m", "rsagent_ros.ros.program", "--ros-args", "--params-file", str(ROOT / "config" / "agent.yaml")]
        node += ["-p", f"record_dir:={out / 'records'}"]
        if arguments.tiny:
            node += tiny_models(out / "models")
        stack.enter_context(Process("agent", [*node, *(word for remap in REMAPS for word in ("-r", remap))], out))
        scenes = wait_for_truth(out / "truth")
        agent = stack.enter_context(Agent(wait=START_SECONDS))
        agent.wait_until_active(START_SECONDS)
        ended: list[EndedGoal] = []
        for scene in scenes:
            follows = ended[-1].answer if scene.previous else None
            if follows is not None and not follows.question:
                print(f"\n“{scene.instruction}” answers nothing: the agent has not asked back", flush=True)
                continue
            ended.append(send(agent, scene, follows))
    wrong = []
    if not arguments.tiny:
        if len(ended) < len(scenes):
            wrong.append("The agent did not ask which of two objects was meant.")
        wrong += from_the_log(out)
        tracked, complaints = track_one(out, REMAPS, START_SECONDS)
        wrong += complaints
        ended += [] if tracked is None else [tracked]
    wrong += report(ended, out, any_clean_end=arguments.tiny)
    for sentence in wrong:
        print(sentence)
    return 1 if wrong else 0


def tiny_models(folder: Path) -> list[str]:
    """Make the checkpoints; returns the node's arguments that choose them."""
    from rsagent_ros.policies.family import QWEN2_5_VL
    from rsagent_ros.weights.tiny import save_tiny
    from rsagent_ros.weights.tiny_detectors import save_tiny_mm_grounding_dino
    from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2

    save_tiny(QWEN2_5_VL, folder / "qwen2_5_vl")
    save_tiny_sam2(folder / "sam2")
    save_tiny_mm_grounding_dino(folder / "finder")
    chosen = {
        "policy": "local",
        "local.checkpoint": folder / "qwen2_5_vl",
        "segmenter": "sam2",
        "sam2.checkpoint": folder / "sam2",
        "sam2.finder": folder / "finder",
        "max_reply_tokens": 16,  # they never stop by themselves
    }
    return [word for name, value in chosen.items() for word in ("-p", f"{name}:={value}")]


def wait_for_truth(folder: Path) -> list[Example]:
    """The camera's goals with their true masks, as soon as it has written all of them."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if (folder / "scenes.jsonl").is_file():
            return list(load_examples(folder))
        time.sleep(0.1)
    raise TimeoutError(
        f"the camera wrote no truth to {folder} within {START_SECONDS:g} s; see {folder.parent}/camera.log"
    )


def send(agent: Agent, scene: Example, follows: Answer | None) -> EndedGoal:
    """Send one goal, which may answer the question of another, and show every turn as it comes."""
    print(f"\n“{scene.instruction}”" + "".join(f"  ({tag})" for tag in scene.tags[1:]), flush=True)
    cancel = CancelToken() if "for cancelling" in scene.tags else None

    def show(turn: Turn) -> None:
        print(f"  {turn.index}. {turn.thought}\n     -> {turn.tool or turn.error_code}", flush=True)
        if cancel is not None:
            cancel.set()

    answer = agent.segment(
        scene.instruction,
        follows=follows.goal_id if follows is not None else "",
        time_budget=TIME_BUDGET,
        on_turn=show,
        cancel=cancel,
        timeout=2 * TIME_BUDGET,
    )
    expected = Outcome.GAVE_UP if UNKNOWN_NOUN in scene.tags else scene.require_expected()
    ended = EndedGoal(scene, expected if cancel is None else Outcome.CANCELED, answer)
    score = "" if ended.iou is None else f", IoU {ended.iou:.3f} with the simulator's truth"
    if answer.question:
        print(f"  it asks: {answer.question}", flush=True)
    if answer.outcome is Outcome.GAVE_UP:
        print(f"  it can't tell: {answer.reason}", flush=True)
    print(f"  {answer.outcome} after {counted(answer.message.turns)}, {answer.seconds:.2f} s{score}", flush=True)
    if cancel is None:
        judge(agent, ended)
    return ended


def judge(agent: Agent, goal: EndedGoal) -> None:
    """Tell the agent what is true, as an operator or a planner would: its records become a test set."""
    truth = goal.example
    absent = truth.expected is Outcome.NOT_IN_VIEW
    right = goal.answer.outcome == truth.expected and (goal.iou is None or goal.iou >= RIGHT)
    mask = None if right else goal.target
    agent.judge(goal.answer.goal_id, right, absent=absent, mask=mask, note="the simulator's truth")


def report(ended: list[EndedGoal], out: Path, *, any_clean_end: bool) -> list[str]:
    """Write the folders, the page and result.json; returns what is wrong, one sentence for each goal."""
    rows, pages = [], []
    for number, goal in enumerate(ended, 1):
        if not goal.answer.message.trace:  # it ended before it looked at anything; its row says why
            rows.append(goal.row(""))
            continue
        folder = f"{number}-" + re.sub(r"\W+", "-", goal.example.instruction.lower()).strip("-")
        write_folder(out / folder, goal.shown())
        pages.append(goal.shown())
        rows.append(goal.row(folder))
    cv2.imwrite(str(out / "frame.png"), cv2.cvtColor(ended[0].example.image, cv2.COLOR_RGB2BGR))
    (out / "result.json").write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "index.html").write_text(render(pages, "Goals on a simulated table"), encoding="utf-8")
    if any_clean_end:
        wrong = [row for row in rows if row["outcome"] == Outcome.FAILED]
    else:
        wrong = [row for row in rows if row["outcome"] != row["expected"]]
    print(f"\n{len(rows) - len(wrong)} of {len(rows)} goals ended as expected; open {out / 'index.html'}")
    return [f"{row['instruction']!r} ended as {row['outcome']}; {row['expected']} was expected." for row in wrong]


if __name__ == "__main__":
    sys.exit(main())
