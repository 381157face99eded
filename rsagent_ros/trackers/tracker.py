"""The tracker seam: a Tracker starts a Track at a mask, and the Track gives a mask for each newer frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import MAX_PIXELS, Mask


class LostReason(StrEnum):
    """Reason why a frame has no trusted mask; NONE while the object is tracked."""

    NONE = ""
    LOW_SCORE = "low_score"
    AREA_JUMP = "area_jump"
    LEFT_VIEW = "left_view"
    HIDDEN = "hidden"


@dataclass(frozen=True, eq=False)
class TrackedMask:
    """Answer of a track for one frame.

    Attributes:
        stamp_ns: Stamp of the frame, nanoseconds, as given.
        mask: (H, W) bool, of the frame's size: the visible part of the object; all False where `lost`.
        score: Confidence that this is still the object, 0..1. Not calibrated.
        lost: This frame has no trusted mask. The track goes on: it may find the object again in a later frame.
        lost_reason: The reason as a code; NONE unless `lost`.
        reason: The reason as one sentence; empty unless `lost`.
    """

    stamp_ns: int
    mask: Mask
    score: float
    lost: bool
    lost_reason: LostReason = LostReason.NONE
    reason: str = ""


class Track(Protocol):
    """One tracked object. For one thread at a time. Its memory does not grow with the number of frames."""

    def step(self, frame: NDArray[np.uint8], stamp_ns: int) -> TrackedMask:
        """Find the object in a newer frame. Blocks while it computes, and never waits for anything else.

        Being lost is an answer, not an error. Frames may be skipped; the fewer, the better.

        Args:
            frame: (H, W, 3) uint8 RGB of the size that the track began with; not kept, not changed.
            stamp_ns: Of the frame, nanoseconds; later than that of the last step.

        Raises:
            ValueError: Another size of frame, a stamp that does not go forward, or a track that is closed.
            RunFailed: The backend can't go on (out of memory); only a network can raise it.
        """
        ...

    def close(self) -> None:
        """Free what the track holds. May be called twice."""
        ...


class Tracker(Protocol):
    """Source of tracks. One instance serves many tracks at the same time, all used by one thread at a time."""

    @property
    def name(self) -> str:
        """Name in records and diagnostics."""
        ...

    def start(self, frame: NDArray[np.uint8], mask: Mask, stamp_ns: int) -> Track:
        """Start a track at the frame that the object was found on. Blocks while it computes, about as long as a step.

        Args:
            frame: (H, W, 3) uint8 RGB; not kept, not changed.
            mask: (H, W) bool, at least one pixel.
            stamp_ns: Of the frame, nanoseconds.

        Raises:
            ValueError: Frame or mask has the wrong shape or type, or the mask is empty.
        """
        ...


def check_start(frame: NDArray[np.uint8], mask: Mask) -> None:
    """Check the frame and mask of a new track.

    Raises:
        ValueError: One sentence says what is wrong.
    """
    check_image(frame)
    if mask.shape != frame.shape[:2] or mask.dtype != np.bool_:
        raise ValueError(
            f"the mask is {mask.shape} {mask.dtype}, the frame {frame.shape[:2]} (height, width); "
            "give the mask as bool and of the frame it was found on"
        )
    if not mask.any():
        raise ValueError("the mask is empty; a track needs at least one pixel to begin with")


def check_step(frame: NDArray[np.uint8], stamp_ns: int, size: tuple[int, int], last_ns: int) -> None:
    """Check a frame that a track is to go on with.

    Args:
        frame: The new frame.
        stamp_ns: Its stamp.
        size: (height, width) of the track's first frame.
        last_ns: Stamp of the last step.

    Raises:
        ValueError: One sentence says what is wrong.
    """
    check_image(frame)
    if frame.shape[:2] != size:
        raise ValueError(
            f"the frame is {frame.shape[1]} x {frame.shape[0]}, the track began with {size[1]} x {size[0]}; "
            "when a camera changes its size, close the track and start a new one"
        )
    if stamp_ns <= last_ns:
        raise ValueError(
            f"the frame's stamp {stamp_ns} ns is not later than the last one, {last_ns} ns; "
            "when time goes back, close the track and start a new one"
        )


def check_image(frame: NDArray[np.uint8]) -> None:
    """Check that an image is (H, W, 3) uint8 and not too large.

    Raises:
        ValueError: One sentence says what is wrong.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise ValueError(f"the frame is {frame.shape} {frame.dtype}; (height, width, 3) uint8 RGB is needed")
    if frame.shape[0] * frame.shape[1] > MAX_PIXELS:
        raise ValueError(f"the frame is {frame.shape[1]} x {frame.shape[0]}; at most {MAX_PIXELS} pixels are tracked")
