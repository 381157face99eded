"""From the frame that the agent looked at to the newest one: through what the camera saw meanwhile, in bounded time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.trackers.tracker import Track, TrackedMask


@dataclass(frozen=True, eq=False)
class Caught:
    """What came of catching up.

    Attributes:
        newest: The answer for the newest frame.
        used: Frames that the track took a step to.
        skipped: Frames that were left out to be done in time.
        seconds: Steady clock.
    """

    newest: TrackedMask
    used: int
    skipped: int
    seconds: float


def catch_up(
    track: Track,
    frames: Sequence[tuple[int, NDArray[np.uint8]]],
    seconds: float = 0.5,
    clock: Callable[[], float] = time.monotonic,
) -> Caught:
    """Step a track through buffered frames to the newest one. Blocks until there, about `seconds` at most.

    The newest frame is always reached. How many others are used follows from what a step takes: those left out are
    spread evenly, so that no single gap is larger than it must be.

    Args:
        track: Begun at a frame older than all of these.
        frames: Stamps in nanoseconds, going forward, and (H, W, 3) uint8 RGB frames; at least one.
        seconds: What it may take. The step that is under way when they are over is finished, then the newest taken.
        clock: Steady seconds.

    Raises:
        ValueError: No frames, or what `Track.step` refuses.
    """
    if not frames:
        raise ValueError("there are no frames to catch up with; give at least the newest one")
    started = clock()
    last, position, used = len(frames) - 1, -1, 0
    while True:
        spent = clock() - started
        # What is left, in steps as long as those so far: one for the newest frame, the others spread over the rest.
        affordable = int((seconds - spent) * used / spent) if used and spent > 0 else last - position
        position = min(last, position + math.ceil((last - position) / max(1, affordable)))
        stamp_ns, frame = frames[position]
        newest = track.step(frame, stamp_ns)
        used += 1
        if position == last:
            return Caught(newest, used, len(frames) - used, clock() - started)
