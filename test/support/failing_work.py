"""Work that fails in a worker process: its functions are imported there."""

from __future__ import annotations

from collections.abc import Callable

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode


def no_model(why: str) -> Callable[[int], int]:
    raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, why)


def fails(number: int) -> int:
    raise RunFailed(ErrorCode.INVALID_GOAL, f"task {number} has no words")


def failing() -> Callable[[int], int]:
    return fails
