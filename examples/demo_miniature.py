"""`make demo-miniature`: the node with `policy:=local` and a checkpoint that this repository trained from nothing.

    source environment/activate && python examples/demo_miniature.py [--out out/demo-miniature]

Goals are about scenes of its small world (that of release 0.1.0, `rsagent_training.miniature.flat_world`) that it has
not seen; each goes out with its picture. Writes `index.html` with
all conversations, and `result.json`. Exit code 0 when the mean IoU is at least LEAST_IOU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from demo_process import ROOT, Process

import rsagent_ros
from rsagent_ros.agent.accounting import counted
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.ros.client import Agent
from rsagent_ros.scoring.matching import MATCH_IOU
from rsagent_ros.viewer.page import Shown, render
from rsagent_training.miniature.flat_world import SIDE, scenes
from rsagent_training.rewards.quality import trajectory_iou

SEED, GOALS = 20_261_121, 24
LEAST_IOU = 0.6
START_SECONDS = 60.0
DOMAIN = "101"
PARAMETERS = {
    "policy": "local",
    "local.checkpoint": Path(rsagent_ros.__file__).parent / "policies" / "miniature",
    "local.device": "cpu",
    "local.dtype": "float32",
    "view_side": SIDE,
    "max_turns": 4,
}
"""Its checkpoint is one like any other; it knows pictures of this size alone."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns 0 when the policy does what docs/training.md says of it."""
    parser = argparse.ArgumentParser(
        description="A policy that was trained from nothing, on scenes of its small world."
    )
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo-miniature", help="replaced (%(default)s)")
    out: Path = parser.parse_args(argv).out
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    os.environ.setdefault("ROS_DOMAIN_ID", DOMAIN)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rows: list[dict[str, Any]] = []
    pages: list[Shown] = []
    with ExitStack() as stack:
        node = ["-m", "rsagent_ros.ros.program", "--ros-args"]
        node += [word for name, value in PARAMETERS.items() for word in ("-p", f"{name}:={value}")]
        stack.enter_context(Process("agent", node, out))
        agent = stack.enter_context(Agent(wait=START_SECONDS))
        agent.wait_until_active(START_SECONDS)
        for scene in scenes(SEED, GOALS):
            answer = agent.segment(scene.instruction, image=scene.image)
            trace = Trace.from_json(answer.message.trace)
            score = trajectory_iou(trace, scene)
            print(
                f"“{scene.instruction}”: {answer.outcome} after {counted(len(trace.turns))}, IoU {score:.2f}",
                flush=True,
            )
            facts = {"expected": scene.require_expected().value, "IoU with the truth": f"{score:.3f}"}
            right = answer.outcome == scene.expected and (scene.expected is not Outcome.FOUND or score >= MATCH_IOU)
            pages.append(Shown(trace, scene.image, facts, right=right))
            rows.append({"instruction": scene.instruction, "outcome": answer.outcome, "iou": round(score, 4)})
    mean = sum(row["iou"] for row in rows) / GOALS
    (out / "result.json").write_text(json.dumps({"mean_iou": mean, "goals": rows}, indent=2) + "\n", encoding="utf-8")
    (out / "index.html").write_text(
        render(pages, "A policy of 0.7 million weights in its small world"), encoding="utf-8"
    )
    print(f"mean IoU {mean:.3f} over {GOALS} goals; open {out / 'index.html'}")
    if mean < LEAST_IOU:
        print(f"At least {LEAST_IOU} was expected.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
