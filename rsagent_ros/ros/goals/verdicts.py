"""Verdicts about goals that have ended: checked, and kept with their goal."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.images import to_mask
from rsagent_ros.msg import Verdict as VerdictMessage
from rsagent_ros.ros.newest import REMEMBERED_GOALS, Newest

SOURCES = {VerdictMessage.OPERATOR: "operator", VerdictMessage.GRASP: "grasp", VerdictMessage.PLANNER: "planner"}


@dataclass
class EndedGoal:
    """A goal that has looked at an image and ended, as far as a verdict needs it.

    Attributes:
        instruction: Of the goal.
        outcome: Of the goal.
        size: Width and height of its image in pixels.
        verdict: The newest one.
    """

    instruction: str
    outcome: Outcome
    size: tuple[int, int]
    verdict: VerdictMessage | None = None


class Verdicts:
    """The last goals with their verdicts. Thread-safe."""

    def __init__(self, limit: int = REMEMBERED_GOALS) -> None:
        """Keep at most `limit` goals; the oldest is forgotten first."""
        self._kept: Newest[str, EndedGoal] = Newest(limit)
        self._lock = threading.Lock()
        self.accepted = 0
        self.refused = 0

    def keep(self, goal_id: str, goal: EndedGoal) -> None:
        """Remember a goal; one with the same id is replaced."""
        with self._lock:
            self._kept[goal_id] = goal

    def of(self, goal_id: str) -> EndedGoal | None:
        """The goal of that id; None if it is not known (any more)."""
        return self._kept.get(goal_id)

    def judge(self, verdict: VerdictMessage) -> EndedGoal:
        """Attach a verdict to its goal; returns the goal.

        Raises:
            ValueError: It can't be about that goal, with the reason; nothing has changed.
        """
        with self._lock:
            try:
                goal = self._checked(verdict)
            except ValueError:
                self.refused += 1
                raise
            goal.verdict = verdict
            self.accepted += 1
            return goal

    def _checked(self, verdict: VerdictMessage) -> EndedGoal:
        goal = self._kept.get(verdict.goal_id)
        if goal is None:
            raise ValueError(f"no goal {verdict.goal_id!r} among the last {self._kept.limit} that looked at an image")
        if verdict.source not in SOURCES:
            raise ValueError(f"source is {verdict.source}; allowed: {', '.join(map(str, SOURCES))}")
        if verdict.accepted and verdict.absent and goal.outcome is not Outcome.NOT_IN_VIEW:
            raise ValueError(f"accepted and absent contradict each other: the goal ended as {goal.outcome}")
        if verdict.corrected_mask.width:
            size = (verdict.corrected_mask.width, verdict.corrected_mask.height)
            if size != goal.size:
                raise ValueError(f"corrected_mask is of {size} (width, height), the goal's image of {goal.size}")
            try:
                marked = bool(to_mask(verdict.corrected_mask).any())
            except RunFailed as failure:
                raise ValueError(f"corrected_mask: {failure.message}") from failure
            if marked and verdict.absent:
                raise ValueError("absent and corrected_mask contradict each other: the mask marks something")
            if not (marked or verdict.absent):
                raise ValueError("corrected_mask is empty: set absent where nothing is there")
        return goal
