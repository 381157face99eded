"""Catching up: a track goes through buffered frames to the newest one, in bounded time."""

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
    """Result of catching up.

    Attributes:
        newest: The answer for the newest frame.
        used: Frames that were tracked.
        skipped: Frames that were left out for lack of time.
        seconds: Time it took, by the steady clock.
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
    """Step a track through buffered frames to the newest one. Blocks for about `seconds` at most.

    The newest frame is always reached. The others are used as far as the time allows, and left out evenly, so that the
    largest gap is as small as it can be.

    Args:
        track: Begun at a frame older than all of these.
        frames: Stamps in nanoseconds, going forward, and (H, W, 3) uint8 RGB frames; at least one.
        seconds: Time limit. The step under way when it is over is finished, then the newest frame is tracked.
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
        # Steps that the rest of the time allows at the present pace: one is for the newest frame.
        affordable = int((seconds - spent) * used / spent) if used and spent > 0 else last - position
        position = min(last, position + math.ceil((last - position) / max(1, affordable)))
        stamp_ns, frame = frames[position]
        newest = track.step(frame, stamp_ns)
        used += 1
        if position == last:
            return Caught(newest, used, len(frames) - used, clock() - started)
