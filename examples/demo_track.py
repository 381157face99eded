"""The last goal of the demo: the camera moves around the table, and the mask stays on its object.

One goal with `track`; then every image has a mask, and a position in metres. The simulator's truth about each image is
rendered afterwards, from the moment that the image shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from demo_goal import EndedGoal
from demo_process import ROOT, Process
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask, draw_overlay, fitted, iou
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.ros.client import Agent, Answer, Tracked
from rsagent_ros.ros.stamps import nanoseconds
from rsagent_ros.viewer.playback import TrackedFrame
from rsagent_training.simulate import DEMO_EXPRESSIONS, World, demo_examples, demo_world

NUMBER = 0
GOAL = DEMO_EXPRESSIONS[NUMBER][1]
"""The green ball: words that hold wherever the camera has come; "left of" does not."""

SECONDS = 8.0
TIME_BUDGET = 60.0
TILES, COLUMNS = 6, 3
SIDE = 480
"""Longer side in pixels of the images in `tracked.png`."""

MIN_IOU, MAX_METRES = 0.8, 0.03


@dataclass(frozen=True, eq=False)
class Checked:
    """A tracked mask beside the truth about its image.

    Attributes:
        seconds: Since the image that the agent found the object on.
        rgb: (H, W, 3) uint8.
        mask: (H, W) bool, as tracked.
        iou: With the true mask; stale: of the agent's own mask, without tracking.
        metres: Distance of the tracked position from the object's true middle; None where there was none.
    """

    seconds: float
    rgb: NDArray[np.uint8]
    mask: Mask
    iou: float
    stale: float
    metres: float | None


def track_one(out: Path, remaps: list[str], start_seconds: float) -> tuple[EndedGoal | None, list[str]]:
    """Let the camera move and track one object; returns the goal, and what is wrong, one sentence each.

    Args:
        out: Folder of the demo.
        remaps: From the node's topics to the camera's.
        start_seconds: Longest time that a start may take.
    """
    print(f"\nthe camera moves: “{GOAL.words}”, tracked for {SECONDS:g} s", flush=True)
    truth = out / "track"
    with ExitStack() as stack:
        arguments = ["--ros-args", "-p", "moving:=true", "-p", f"truth_dir:={truth}"]
        camera = [str(ROOT / "examples" / "sim_camera.py"), *arguments]
        stack.enter_context(Process("moving-camera", camera, out))
        node = ["-m", "rsagent_ros.ros.program", "--ros-args", *(word for remap in remaps for word in ("-r", remap))]
        stack.enter_context(Process("tracking-agent", node, out))
        agent = stack.enter_context(Agent(wait=start_seconds))
        agent.wait_until_active(start_seconds)
        answer = agent.segment(GOAL.words, track=True, time_budget=TIME_BUDGET, timeout=2 * TIME_BUDGET)
        print(f"  {answer.outcome} after {answer.seconds:.2f} s", flush=True)
        tracked = list(agent.tracked(answer.goal_id, seconds=SECONDS)) if answer.outcome == "found" else []
        agent.stop_tracking(answer.goal_id)
    seen = [one for one in tracked if one.state == "tracking"]
    if answer.mask is None or not seen:
        return None, [f"{GOAL.words!r} was not tracked: {answer.outcome}, {len(tracked)} masks."]
    moments = _moments(truth / "moments.jsonl")
    checked = list(_checked(answer.mask, _spread(seen, 4 * TILES), moments))
    for one in _spread(checked, TILES):
        print(f"  {_caption(one)}", flush=True)
    tiles = [_tile(one) for one in _spread(checked, TILES)]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[start : start + COLUMNS], axis=1) for start in range(0, len(tiles), COLUMNS)]
    cv2.imwrite(str(out / "tracked.png"), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))
    figures = _figures(answer, tracked, checked)
    (out / "tracked.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(
        f"  {figures['masks']} masks; median IoU {figures['median_iou']:.3f}, without tracking "
        f"{figures['median_stale_iou']:.3f}; open {out / 'tracked.png'}",
        flush=True,
    )
    facts = {"tracked": f"{figures['masks']} masks, median IoU {figures['median_iou']:.3f}"}
    film = tuple(TrackedFrame(one.seconds, one.rgb, one.mask, _about(one)) for one in checked)
    return EndedGoal(_example(answer, moments), Outcome.FOUND, answer, facts, film), complaints(figures)


def complaints(figures: dict[str, Any]) -> list[str]:
    """Faults of the figures in `tracked.json`, one sentence each."""
    name, metres = f"{figures['instruction']!r}, tracked with a moving camera,", figures["median_metres"]
    found = []
    if figures["median_iou"] < MIN_IOU or figures["lost"]:
        found.append(f"{name} has a median IoU of {figures['median_iou']} and was lost {figures['lost']} times.")
    if metres is None or metres > MAX_METRES:
        found.append(f"{name} is {metres} m off its true position; at most {MAX_METRES} m was expected.")
    return found


def _spread(things: list[Any], count: int) -> list[Any]:
    """That many of them, evenly spread; the last one is among them."""
    return [things[index] for index in np.unique(np.linspace(0, len(things) - 1, count).round().astype(int))]


def _moments(file: Path) -> dict[int, float]:
    """The camera's moments in seconds, by the stamps of its images in nanoseconds."""
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {row["stamp"]: row["t"] for row in rows}


def _example(answer: Answer, moments: dict[int, float]) -> Example:
    """The truth about the image that the goal was answered on."""
    with demo_world() as world:
        rendering = world.render(moments[nanoseconds(answer.header.stamp)])
        return demo_examples(world, rendering)[NUMBER]


def _checked(stale: Mask, seen: list[Tracked], moments: dict[int, float]) -> Iterator[Checked]:
    """Masks beside the truth: the world is rendered again as it was at each stamp."""
    with demo_world() as world:
        for one in seen:
            frame = world.render(moments[one.stamp_ns])
            true = frame.masks[GOAL.referents[0]]
            metres = None
            if one.position is not None:
                where = frame.pose[:3, :3] @ one.position + frame.pose[:3, 3]
                metres = float(np.linalg.norm(where - _middle(world)))
            yield Checked(one.age, frame.rgb, one.mask, iou(one.mask, true), iou(stale, true), metres)


def _middle(world: World) -> NDArray[np.float64]:
    """(3,) of the tracked object, in the world's frame: the middle of the box around it."""
    item = next(item for item in world.items if item.name == GOAL.referents[0])
    return np.asarray((item.vertices.min(axis=0) + item.vertices.max(axis=0)) / 2.0)


def _figures(answer: Answer, tracked: list[Tracked], checked: list[Checked]) -> dict[str, Any]:
    """The content of `tracked.json`."""
    metres = [one.metres for one in checked if one.metres is not None]
    return {
        "instruction": GOAL.words,
        "outcome": answer.outcome,
        "masks": len(tracked),
        "lost": sum(one.state == "lost" for one in tracked),
        "checked": len(checked),
        "median_iou": round(median(one.iou for one in checked), 4),
        "least_iou": round(min(one.iou for one in checked), 4),
        "median_stale_iou": round(median(one.stale for one in checked), 4),
        "with_position": len(metres),
        "median_metres": round(median(metres), 4) if metres else None,
    }


def _tile(one: Checked) -> NDArray[np.uint8]:
    """A picture with its mask and figures."""
    height, width = one.mask.shape
    picture = draw_overlay(one.rgb, one.mask, *fitted(width, height, SIDE))
    strip = np.zeros((24, picture.shape[1], 3), np.uint8)
    words, white = _caption(one), (255, 255, 255)
    cv2.putText(strip, words, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, white, 1, cv2.LINE_AA)
    return np.concatenate([picture, strip])


def _caption(one: Checked) -> str:
    return f"{one.seconds:4.1f} s later: {_about(one)}"


def _about(one: Checked) -> str:
    place = "no position" if one.metres is None else f"position off by {100 * one.metres:.1f} cm"
    return f"IoU {one.iou:.3f}, {place}"
