"""The frame and the instruction of a goal, checked before anything runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.errors import RunFailed, plain
from rsagent_ros.agent.mask import MAX_PIXELS
from rsagent_ros.agent.outcome import ErrorCode

MAX_INSTRUCTION = 2_000
"""Most characters of an instruction; a longer one is refused, not cut."""


def check_frame(frame: NDArray[np.uint8]) -> None:
    """Refuse an array that is no (H, W, 3) uint8 image of a size that can be looked at.

    Raises:
        RunFailed: BAD_IMAGE.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise RunFailed(
            ErrorCode.BAD_IMAGE,
            f"the image is {frame.shape} {frame.dtype}; (height, width, 3) uint8 is needed",
        )
    if frame.shape[0] * frame.shape[1] > MAX_PIXELS:
        raise RunFailed(
            ErrorCode.BAD_IMAGE,
            f"the image is {frame.shape[1]} x {frame.shape[0]}; at most {MAX_PIXELS} pixels are looked at",
        )


def checked_instruction(instruction: str) -> str:
    """The instruction without white space around it, as text that messages and files can hold.

    Raises:
        RunFailed: INVALID_GOAL: it is empty or too long.
    """
    instruction = plain(instruction.strip())
    if not instruction or len(instruction) > MAX_INSTRUCTION:
        raise RunFailed(
            ErrorCode.INVALID_GOAL,
            f"the instruction has {len(instruction)} characters; 1 to {MAX_INSTRUCTION} are needed",
        )
    return instruction
