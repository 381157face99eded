"""Cost of one turn beside the models: views, overlay, chat, parse, record. Instant policy and segmenter, 1920x1080.

Timed for each turn: taking the new messages, `Episode.step`, and writing turn and whole trace as JSON. The process is
held to two CPU cores. Before the timed episodes a few run untimed: the first turn of a process also pays for the first
pages of new memory and the start of OpenCV's threads; it is reported by itself.
"""

from __future__ import annotations

import os
import statistics
import time

import cv2
import msgspec
import numpy as np
from entry import Entry, at_most, reported
from numpy.typing import NDArray

from rsagent_ros.agent.actions import Action, Combine, Find, ResetView, Segment, Zoom, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.segmenter import Candidate, Detection, MaskPrompt

CORES = 2
EPISODES = 30
WIDTH, HEIGHT = 1920, 1080
LIMIT_MS = 15.0
LIMIT_MARKS_MS = 8.0
MARKS = 24
LIMIT_GROWTH = 1.5
"""Turn 8 over turn 1. Flat is 1; the rest is for the noise of a machine that others use too."""

THOUGHT = "<think>" + "The mug stands left of the bowl, and the mask leaves out its handle. " * 4 + "</think>"
MIDDLE = Box(250, 250, 750, 750)
SAME_CALL: list[Action] = [Segment(MIDDLE, (Point(500, 500),))] * 8
MARKED: list[Action] = [Find("bolt"), *[Segment(MIDDLE, (Point(500, 500),))] * 6]
EACH_KIND: dict[str, Action] = {
    "segment": Segment(MIDDLE, (Point(500, 500),)),
    "refine": Segment(refine=1, negative=(Point(300, 300),)),
    "zoom": Zoom(Box(180, 220, 690, 810)),
    "segment in the zoom": Segment(Box(100, 100, 900, 900)),
    "refine from another view": Segment(refine=1, positive=(Point(500, 500),)),
    "combine": Combine((1, 2), (3,)),
    "reset_view": ResetView(),
    "combine in the whole view": Combine((1, 2, 3)),
}


class InstantSegmenter:
    """Answers each prompt with the same three candidates of a wavy blob, and each phrase with two dozen, all made."""

    name = "instant"

    def __init__(self) -> None:
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        dx, dy = x - WIDTH / 2, y - HEIGHT / 2
        radius = HEIGHT * (0.3 + 0.02 * np.sin(40 * np.arctan2(dy, dx)))
        self._logits = cv2.resize(((radius - np.hypot(dx, dy)) / 10).astype(np.float32), (256, 256))
        self._made: dict[tuple[int, int], list[Candidate]] = {}

    def encode(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """Height and width; the first time of each size makes the candidates."""
        height, width = image.shape[:2]
        if (height, width) not in self._made:
            mask = cv2.resize(self._logits, (width, height)) > 0
            self._made[height, width] = [Candidate(mask, score, self._logits) for score in (0.9, 0.8, 0.7)]
        return height, width

    def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
        """The candidates of that size."""
        return self._made[encoding]

    def find(self, encoding: tuple[int, int], phrase: str) -> list[Detection]:
        """Blobs all over the image."""
        height, width = encoding
        side = height // 9
        part = cv2.resize(self._logits, (side, side)) > 0
        places = [(width * (2 * n + 1) // 12, height * (2 * m + 1) // 8) for n in range(6) for m in range(4)]
        return [
            Detection(Box(x - side // 2, y - side // 2, x - side // 2 + side, y - side // 2 + side), part, 0.9)
            for x, y in places[:MARKS]
        ]


def run() -> list[Entry]:
    """Measure; about ten seconds."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:CORES])
    try:
        return _measured()
    finally:
        os.sched_setaffinity(0, allowed)


def _measured() -> list[Entry]:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    frame = np.asarray(cv2.GaussianBlur(noise, (9, 9), 0), dtype=np.uint8)
    segmenter = InstantSegmenter()
    first = _episode(frame, segmenter, SAME_CALL)[1][0]
    for _ in range(3):
        _episode(frame, segmenter, list(EACH_KIND.values()))
    same = [_episode(frame, segmenter, SAME_CALL) for _ in range(EPISODES)]
    marked = [_episode(frame, segmenter, MARKED)[1] for _ in range(EPISODES)]
    find = statistics.median(turns[0] for turns in marked)
    after = statistics.median(milliseconds for turns in marked for milliseconds in turns[1:])
    kinds = [_episode(frame, segmenter, list(EACH_KIND.values())) for _ in range(EPISODES)]
    by_turn = [statistics.median(turns[index] for _, turns in same) for index in range(len(SAME_CALL))]
    by_kind = {name: statistics.median(turns[index] for _, turns in kinds) for index, name in enumerate(EACH_KIND)}
    slowest = max(by_kind, key=lambda name: by_kind[name])
    return [
        at_most(
            "turn overhead, median of turns 1 to 8",
            statistics.median(milliseconds for _, turns in same for milliseconds in turns),
            "ms",
            LIMIT_MS,
            "by turn: " + ", ".join(f"{value:.1f}" for value in by_turn),
        ),
        at_most(
            f"turn overhead with {MARKS} marks",
            max(find, after),
            "ms",
            LIMIT_MARKS_MS,
            f"the turn that finds them {find:.1f}, a later one {after:.1f}",
        ),
        at_most("turn overhead, turn 8 over turn 1", by_turn[-1] / by_turn[0], "x", LIMIT_GROWTH),
        reported(
            "turn overhead, slowest kind of call",
            by_kind[slowest],
            "ms",
            ", ".join(f"{name} {value:.1f}" for name, value in by_kind.items()),
        ),
        reported("episode start", statistics.median(start for start, _ in same + kinds), "ms", "first picture, prompt"),
        reported("first turn of a process", first, "ms", "not in the figures above: new memory, OpenCV's threads"),
    ]


def _episode(frame: NDArray[np.uint8], segmenter: InstantSegmenter, actions: list[Action]) -> tuple[float, list[float]]:
    """Milliseconds of the start, and of each turn."""
    replies = [Reply(THOUGHT + render(action)) for action in actions]
    before = time.perf_counter()
    episode = Episode(frame, "the red mug", segmenter, Budget(seconds=1e6, max_turns=len(actions) + 1))
    started = (time.perf_counter() - before) * 1000
    turns = []
    for reply in replies:
        before = time.perf_counter()
        episode.new_messages()
        turn = episode.step(reply)
        msgspec.json.encode(turn)
        episode.trace.to_json()
        turns.append((time.perf_counter() - before) * 1000)
        if turn is None or turn.error_code:
            raise RuntimeError(f"the benchmark's own call failed: {turn}")
    return started, turns
