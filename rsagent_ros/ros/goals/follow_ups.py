"""What was asked back about goals, so that a follow-up goal (`previous_id`) can answer it."""

from __future__ import annotations

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.turn import Trace
from rsagent_ros.ros.goals.newest import Newest

KEPT = 200
"""Goals that are remembered."""


class FollowUps:
    """The last questions by the id of their goal. For one thread at a time."""

    def __init__(self) -> None:
        self._ended: Newest[str, tuple[Outcome | None, tuple[Exchange, ...]]] = Newest(KEPT)

    def keep(self, goal_id: str, trace: Trace) -> None:
        """Remember how a goal ended, and what it asked."""
        said = (*trace.previous, Exchange(trace.instruction, trace.question))
        self._ended[goal_id] = trace.outcome, said

    def before(self, previous_id: str) -> tuple[Exchange, ...]:
        """What was said before a goal that follows up this one, oldest first; nothing for an empty id.

        Raises:
            RunFailed: FOLLOW_UP_UNKNOWN: there is no such goal, or it asked nothing.
        """
        if not previous_id:
            return ()
        outcome, said = self._ended.get(previous_id, (None, ()))
        if outcome is Outcome.AMBIGUOUS:
            return said
        if outcome is Outcome.NOT_IN_VIEW:
            return said[:-1]  # it asked nothing; the same is looked for again, elsewhere
        why = "no such goal is known" if outcome is None else f"it ended as {outcome} and asked nothing"
        raise RunFailed(
            ErrorCode.FOLLOW_UP_UNKNOWN,
            f"goal {previous_id!r} can't be followed up: {why}; send the whole instruction as a new goal",
        )
