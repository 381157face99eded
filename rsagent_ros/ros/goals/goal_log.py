"""What the node logs about goals: one line for each event, in words, or as JSON where a program reads the log.

{"event": "ended", "goal_id": "7", "outcome": "found", "error_code": "NONE", "turns": 3, "seconds": 0.41, ...}
"""

from __future__ import annotations

import json
from collections.abc import Callable

from rclpy.impl.rcutils_logger import RcutilsLogger

from rsagent_ros.agent.outcome import ErrorCode, Result
from rsagent_ros.msg import Verdict as VerdictMessage
from rsagent_ros.ros.goals.active_goal import MAX_ID, GoalRequest
from rsagent_ros.ros.goals.verdicts import SOURCES, Kept

WORDS_IN_LOG = 300
"""Characters that are logged of whatever was sent, or repeats it: that may have millions."""


class GoalLog:
    """Writes to the node's logger. Thread-safe."""

    def __init__(self, log: RcutilsLogger, as_json: Callable[[], bool]) -> None:
        """Write there; `as_json` is asked each time."""
        self._log = log
        self._as_json = as_json

    def asked(self, request: GoalRequest) -> None:
        """A goal has come."""
        goal_id, words = request.id[:MAX_ID], request.instruction[:WORDS_IN_LOG]
        self._say(
            f"goal {goal_id!r} by {request.source}: {words!r}",
            event="asked",
            goal_id=goal_id,
            source=request.source,
            instruction=words,
            camera=request.camera[:WORDS_IN_LOG],
        )

    def ended(self, goal_id: str, result: Result, seconds: float) -> None:
        """A goal has ended, `seconds` after it was accepted."""
        goal_id, error_msg = goal_id[:MAX_ID], result.error_msg[:WORDS_IN_LOG]
        code = "" if result.error_code is ErrorCode.NONE else f"{result.error_code.name}: "
        why = f" ({code}{error_msg})" if error_msg else ""
        self._say(
            f"goal {goal_id!r} ended as {result.outcome}{why}: {result.turns} turns, {seconds:.2f} s",
            event="ended",
            goal_id=goal_id,
            outcome=result.outcome.value,
            error_code=result.error_code.name,
            error_msg=error_msg,
            confidence=round(result.confidence, 4),
            turns=result.turns,
            seconds=round(seconds, 4),
            degraded=result.degraded,
        )

    def judged(self, verdict: VerdictMessage, goal: Kept) -> None:
        """A verdict was accepted for its goal."""
        right, source = "accepted" if verdict.accepted else "rejected", SOURCES[verdict.source]
        self._say(
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
        """A verdict can't be about its goal."""
        reason = reason[:WORDS_IN_LOG]
        facts = {"event": "verdict_refused", "goal_id": verdict.goal_id[:MAX_ID], "reason": reason}
        self._log.warning(json.dumps(facts) if self._as_json() else f"verdict refused: {reason}")

    def _say(self, words: str, **facts: str | float | bool) -> None:
        self._log.info(json.dumps(facts) if self._as_json() else words)
