"""`GoalLog`: one line in the node's log for each event of a goal, as text, or as JSON where a program reads the log.

{"event": "ended", "goal_id": "7", "outcome": "found", "error_code": "NONE", "turns": 3, "seconds": 0.41, ...}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

from rclpy.impl.rcutils_logger import RcutilsLogger

from rsagent_ros.agent.accounting import counted
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.msg import Verdict as VerdictMessage
from rsagent_ros.ros.goals.goal_request import MAX_ID, GoalRequest
from rsagent_ros.ros.goals.verdicts import SOURCES, EndedGoal

MAX_LOGGED = 300
"""Characters that are logged of whatever was sent, or repeats it: that may have millions."""

REFUSED = (
    ErrorCode.INVALID_GOAL,
    ErrorCode.FOLLOW_UP_UNKNOWN,
    ErrorCode.REJECTED_BUSY,
    ErrorCode.NOT_ACTIVE,
    ErrorCode.UNKNOWN_CAMERA,
)
"""Failures of the goal itself, logged as warnings; all others are the robot's, logged as errors."""

Severity = Literal["info", "warning", "error"]


class GoalLog:
    """Lines in the node's log. Thread-safe."""

    def __init__(self, log: RcutilsLogger, as_json: Callable[[], bool]) -> None:
        """Write to a logger; `as_json` is asked each time."""
        self._log = log
        self._as_json = as_json

    def accepted(self, request: GoalRequest) -> None:
        """Log that a goal has come."""
        goal_id, words = request.id[:MAX_ID], request.instruction[:MAX_LOGGED]
        self._write(
            "info",
            f"goal {goal_id!r} by {request.source}: {words!r}",
            event="asked",
            goal_id=goal_id,
            source=request.source,
            instruction=words,
            camera=request.camera[:MAX_LOGGED],
        )

    def ended(self, goal_id: str, result: Result, seconds: float) -> None:
        """Log that a goal has ended, `seconds` after it was admitted."""
        goal_id, error_msg = goal_id[:MAX_ID], result.error_msg[:MAX_LOGGED]
        code = "" if result.error_code is ErrorCode.NONE else f"{result.error_code.name}: "
        why = f" ({code}{error_msg})" if error_msg else ""
        turns = counted(result.turns)
        severity: Severity = "info"
        if result.outcome is Outcome.FAILED:
            severity = "warning" if result.error_code in REFUSED else "error"
        self._write(
            severity,
            f"goal {goal_id!r} ended as {result.outcome}{why}: {turns}, {seconds:.2f} s",
            event="ended",
            goal_id=goal_id,
            outcome=result.outcome.value,
            error_code=result.error_code.name,
            error_msg=error_msg,
            confidence=None if result.confidence is None else round(result.confidence, 4),
            turns=result.turns,
            seconds=round(seconds, 4),
            degraded=result.degraded,
        )

    def judged(self, verdict: VerdictMessage, goal: EndedGoal) -> None:
        """Log that a verdict was accepted for its goal."""
        right, source = "accepted" if verdict.accepted else "rejected", SOURCES[verdict.source]
        self._write(
            "info",
            f"goal {verdict.goal_id!r} ({goal.instruction!r}, {goal.outcome}) was {right} by {source}"
            f"{', absent' if verdict.absent else ''}{f': {verdict.note!r}' if verdict.note else ''}",
            event="judged",
            goal_id=verdict.goal_id,
            accepted=verdict.accepted,
            absent=verdict.absent,
            source=source,
            note=verdict.note,
        )

    def verdict_refused(self, verdict: VerdictMessage, reason: str) -> None:
        """Log that a verdict can't be about its goal."""
        reason = reason[:MAX_LOGGED]
        self._write(
            "warning",
            f"verdict refused: {reason}",
            event="verdict_refused",
            goal_id=verdict.goal_id[:MAX_ID],
            reason=reason,
        )

    def _write(self, severity: Severity, words: str, **facts: str | float | bool | None) -> None:
        line = json.dumps(facts) if self._as_json() else words
        match severity:  # a line of code each: rclpy's logger allows one severity per line
            case "info":
                self._log.info(line)
            case "warning":
                self._log.warning(line)
            case "error":
                self._log.error(line)
