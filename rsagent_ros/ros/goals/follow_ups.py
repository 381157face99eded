"""`FollowUps`: the questions of the last goals, so that a goal with their `previous_id` can answer them."""

from __future__ import annotations

import threading

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.follow_up import exchanges_after
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.turn import Trace
from rsagent_ros.ros.newest import REMEMBERED_GOALS, Newest


class FollowUps:
    """The last questions by the id of their goal. Thread-safe."""

    def __init__(self) -> None:
        self._ended: Newest[str, tuple[Outcome | None, tuple[Exchange, ...] | None]] = Newest(REMEMBERED_GOALS)
        self._lock = threading.Lock()

    def keep(self, goal_id: str, trace: Trace) -> None:
        """Remember how a goal ended, and its question."""
        # NOT_IN_VIEW asks nothing; the same is looked for again, elsewhere.
        exchanges = trace.previous if trace.outcome is Outcome.NOT_IN_VIEW else exchanges_after(trace)
        with self._lock:
            self._ended[goal_id] = trace.outcome, exchanges

    def before(self, previous_id: str) -> tuple[Exchange, ...]:
        """Exchanges that a follow-up of this goal goes on from, oldest first; none for an empty id.

        Raises:
            RunFailed: FOLLOW_UP_UNKNOWN: there is no such goal, or it asked nothing.
        """
        if not previous_id:
            return ()
        with self._lock:
            outcome, exchanges = self._ended.get(previous_id, (None, None))
        if exchanges is not None:
            return exchanges
        why = "no such goal is known" if outcome is None else f"it ended as {outcome} and asked nothing"
        raise RunFailed(
            ErrorCode.FOLLOW_UP_UNKNOWN,
            f"goal {previous_id!r} can't be followed up: {why}; send the whole instruction as a new goal",
        )
