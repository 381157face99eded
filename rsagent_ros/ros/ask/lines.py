"""Lines that `ask` prints about states, turns, answers and tracked objects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import bounding_box
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.turn import Turn
from rsagent_ros.ros.client import Answer, DetectedObject, Tracked

STATES = {
    "not there": "it is not there; `ros2 launch rsagent_ros agent.launch.py` starts one",
    "unconfigured": "its models are not loaded; its log says why, if that stays so",
    "configuring": "it loads its models",
    "inactive": "it is inactive; `ros2 lifecycle set {agent} activate` lets it take goals",
    "activating": "it is about to take goals",
}
"""Reasons to wait, by the state of the agent's node."""

PROGRESS = {
    "queued": "another goal has to end first",
    "waiting for image": "waiting for an image of the camera",
    "thinking": "thinking",
}


def state_line(agent: str, state: str) -> str:
    """Say what is waited for."""
    return f"waiting for {agent}: {STATES.get(state, f'it is {state}').format(agent=agent)}"


def progress_line(progress: str) -> str:
    """Say what happens before the first turn."""
    return f"... {PROGRESS.get(progress, progress)}"


def turn_lines(turn: Turn) -> Iterator[str]:
    """Describe a turn: its thought, then its call or what was wrong with it."""
    yield f"{turn.index}. {printable(turn.thought) or '(no thought)'}"
    if turn.error_code:
        yield f"   {turn.error_code}: {printable(turn.error_msg)}"
    else:
        yield f"   {turn.tool}"


def answer_lines(answer: Answer) -> Iterator[str]:
    """Describe an answer: outcome, reason or question, and each object with its box and position."""
    code = "" if answer.error_code is ErrorCode.NONE else f" ({answer.error_code.name})"
    partial = ", the best so far" if answer.partial and answer.instances else ""
    yield f"{answer.outcome.replace('_', ' ')}{code}{partial}, after {answer.seconds:.2f} s"
    for words in (answer.error_msg, answer.reason):
        if words:
            yield f"  {printable(words)}"
    for one in answer.instances:
        yield f"  {object_line(one)}"
    if answer.outcome is Outcome.AMBIGUOUS:
        yield f"  the agent asks: {printable(answer.question)}"
        for number, one in enumerate(answer.candidates, 1):
            yield f"  {number}. {object_line(one)}"


def object_line(one: DetectedObject) -> str:
    """Describe an object: its box in pixels, and in metres where there is depth."""
    track = "" if one.track_id < 0 else f", track {one.track_id}"
    return f"{_box(one.box)}, confidence {one.confidence:.2f}{track}{_position(one.position, one.frame_id)}"


def tracked_line(now: Tracked) -> str:
    """Describe a tracked object in the newest image."""
    box = bounding_box(now.mask)
    where = "" if box is None else f", {_box(box)}{_position(now.position, now.frame_id)}"
    return f"track {now.track_id} {now.state}{where}"


def printable(words: str) -> str:
    """Make words safe for a terminal: control characters, which could move its cursor, become spaces."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())


def _box(box: Box) -> str:
    return f"box ({box.x0:.0f}, {box.y0:.0f}) to ({box.x1:.0f}, {box.y1:.0f}) px"


def _position(position: NDArray[np.float64] | None, frame_id: str) -> str:
    if position is None:
        return ""
    return f", at ({', '.join(f'{part:.3f}' for part in position)}) m in {printable(frame_id)}"
