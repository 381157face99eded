"""Is the mask about now? The simulated camera moves while the agent thinks for seconds; with and without tracking.

    python benchmarks/tracking.py [--seeds A:B]

The agent is given the true masks at t = 0 of all objects of 400 pixels or more; what it answers after L
seconds is held against the true mask at t = L. "Without" is that mask as it is, "with" is carried through the camera's
frames (15 Hz), and "caught up" is carried through as many of the buffered frames as 0.5 s allow. Seeds 0:200 are held
out: nothing was tuned on them. The process is held to two CPU cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from contextlib import closing
from importlib.util import find_spec

import numpy as np
from entry import Entry, at_most, not_here, reported
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask, area, iou
from rsagent_ros.baseline.tracker import ClassicalTracker
from rsagent_ros.trackers import TrackedMask, catch_up

HELD_OUT = range(100, 106)
CORES = 2
FPS = 15
LATENCIES = (1, 2, 3, 4, 5)
LEAST_PIXELS = 400
CATCH_UP_SECONDS = 0.5
LIMIT_MS = 1000 / FPS
LIMIT_IOU = 0.8
LARGE = (1920, 1080)
LARGE_FRAMES = 20

Cost = tuple[float, float]
"""Milliseconds on the wall, and of CPU time of all threads."""

Film = list[tuple[NDArray[np.uint8], dict[str, Mask]]]


def run() -> list[Entry]:
    """Measure; two or three minutes, most of it rendering."""
    if find_spec("mujoco") is None:
        return [not_here("tracking", "needs MuJoCo: pip install -e '.[sim]'")]
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:CORES])
    try:
        return measured(HELD_OUT)
    finally:
        os.sched_setaffinity(0, allowed)


def measured(seeds: range) -> list[Entry]:
    """The entries for these worlds."""
    without: dict[int, list[float]] = {latency: [] for latency in LATENCIES}
    followed: dict[int, list[float]] = {latency: [] for latency in LATENCIES}
    caught: dict[int, list[float]] = {latency: [] for latency in LATENCIES}
    used: list[int] = []
    lost = 0
    milliseconds: list[Cost] = []
    for seed in seeds:
        film = filmed(seed, (640, 480), FPS * LATENCIES[-1] + 1)
        for name, mask in film[0][1].items():
            if area(mask) < LEAST_PIXELS:
                continue
            answers, times = tracked(film, mask)
            milliseconds += times
            lost += sum(answer.lost for answer in answers)
            for latency in LATENCIES:
                now = film[latency * FPS][1][name]
                without[latency].append(iou(mask, now))
                followed[latency].append(iou(answers[latency * FPS - 1].mask, now))
                with closing(ClassicalTracker().start(film[0][0], mask, 0)) as track:
                    frames = [(index, film[index][0]) for index in range(1, latency * FPS + 1)]
                    end = catch_up(track, frames, CATCH_UP_SECONDS)
                caught[latency].append(iou(end.newest.mask, now))
                used.append(end.used)
        print(f"  world {seed}: {len(without[1])} objects so far", file=sys.stderr, flush=True)
    objects = len(without[1])
    entries = []
    for latency in LATENCIES:
        note = f"caught up in {CATCH_UP_SECONDS:g} s: {statistics.mean(caught[latency]):.3f}"
        entries.append(reported(f"IoU now, {latency} s late, no tracking", statistics.mean(without[latency]), ""))
        entries.append(reported(f"IoU now, {latency} s late, tracked", statistics.mean(followed[latency]), "", note))
    last = followed[LATENCIES[-1]]
    share = sum(overlap >= LIMIT_IOU for overlap in last) / objects
    large = large_frames()
    return [
        *entries,
        Entry(
            "IoU after 5 s of camera motion, median",
            round(statistics.median(last), 3),
            "",
            f">= {LIMIT_IOU:g}",
            statistics.median(last) >= LIMIT_IOU,
            f"{objects} objects; {share:.0%} of them at {LIMIT_IOU:g} or more, the worst {min(last):.2f}; "
            f"{lost} of {len(milliseconds)} frames said to be lost",
        ),
        _cost("tracking at 640x480, one step", milliseconds),
        _cost("tracking at 1920x1080, one step", large),
    ]


def filmed(seed: int, size: tuple[int, int], frames: int) -> Film:
    """Render frames of a world at FPS, with true masks once a second."""
    from rsagent_training.simulate import World

    with World(seed, size=size) as world:
        film = []
        for index in range(frames):
            frame = world.render(index / FPS, truth=index % FPS == 0)
            film.append((frame.rgb, frame.masks))
        return film


def tracked(film: Film, mask: Mask) -> tuple[list[TrackedMask], list[Cost]]:
    """The answers for all frames but the first, and what each took."""
    answers, times = [], []
    with closing(ClassicalTracker().start(film[0][0], mask, 0)) as track:
        for index in range(1, len(film)):
            before, worked = time.perf_counter(), time.process_time()
            answers.append(track.step(film[index][0], index))
            times.append(((time.perf_counter() - before) * 1000, (time.process_time() - worked) * 1000))
    return answers, times


def large_frames() -> list[Cost]:
    """Time of the steps at 1080p."""
    film = filmed(HELD_OUT.start, LARGE, LARGE_FRAMES)
    masks = sorted(film[0][1].values(), key=area)[-3:]
    return [spent for mask in masks for spent in tracked(film, mask)[1]]


def _cost(name: str, costs: list[Cost]) -> Entry:
    milliseconds = [wall for wall, _ in costs]
    median = statistics.median(milliseconds)
    slowest = float(np.percentile(milliseconds, 95))
    mean = statistics.mean(milliseconds)
    worked = statistics.mean(cpu for _, cpu in costs)
    note = (
        f"median {median:.1f}, p95 {slowest:.1f} (steps that draw the edge again); {1000 / mean:.0f} frames/s; "
        f"{mean / (1000 / 30):.0%} of the period of a 30 Hz camera; "
        f"{worked:.1f} ms of CPU time, which others on the machine do not lengthen as much"
    )
    return at_most(name, mean, "ms", LIMIT_MS, note)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", default="100:106", help="A:B (default: %(default)s)")
    first, _, end = parser.parse_args().seeds.partition(":")
    for entry in measured(range(int(first), int(end))):
        print(entry)
