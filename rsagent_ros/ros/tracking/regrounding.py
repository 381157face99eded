"""The agent looks again for what a track has lost: when, how often, and what it is told from.

A look is a goal of the node's own, with the instruction of the goal that is followed; any other goal pre-empts it, and
then it does not count. Each look waits twice as long as the one before, and there are `reground_tries` of them until
all has gone well for `track_lost_timeout`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.msg import Result as ResultMessage
from rsagent_ros.ros.goals.active_goal import ActiveGoal, GoalRequest
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.tracking.track_group import TrackGroup


class Regrounding:
    """The agent's looks for what one goal's tracks have lost. For the thread that tracks; `seen_then` for any.

    Attributes:
        count: Of the looks so far.
    """

    def __init__(self, look: Callable[[GoalRequest], ActiveGoal | None]) -> None:
        """No look yet.

        Args:
            look: Lets the agent look, as a goal; returns at once. None: other goals come first.
        """
        self._look = look
        self._run: ActiveGoal | None = None
        self._sought: tuple[str, Mapping[int, Mask]] = ("", {})
        self._tries = 0
        self._next = self._last = 0.0
        self.count = 0

    @property
    def under_way(self) -> bool:
        """Whether one is, or has ended and nobody has taken note of it by `ended`."""
        return self._run is not None

    def seen_then(self, goal_id: str) -> Mapping[int, Mask] | None:
        """Where the things were that were not lost when the look of this id began; None where it is not under way."""
        name, seen = self._sought
        return seen if name == goal_id else None

    def ended(self, parameters: NodeParameters, now: float) -> bool:
        """Whether the look under way has ended; it is under way no longer then.

        Args:
            parameters: Of the goal that is followed.
            now: `time.monotonic()`.
        """
        if self._run is None or not self._run.closed.is_set():
            return False
        if _cut_short(self._run.answer):
            self._tries -= 1
        self._next = now + parameters.reground_after * 2**self._tries
        self._sought, self._run = ("", {}), None
        return True

    def begin(self, pursuit: TrackGroup, now: float) -> None:
        """Look, unless the goal did not ask for that, or it is not yet time. Returns at once."""
        request, parameters = pursuit.run.request, pursuit.run.parameters
        if self._tries and now - self._last > parameters.track_lost_timeout:
            self._tries = 0  # it went well for a while
        if not request.reground or self._tries >= parameters.reground_tries or now < self._next:
            return
        name = f"{request.id[:100]}/look-{self.count + 1}"
        self._sought = name, {thing.track_id: thing.mask for thing in pursuit.things if thing.lost_since is None}
        self._run = self._look(replace(request, id=name, camera=pursuit.camera, stamp=0, source="track"))
        if self._run is not None:
            self.count, self._tries, self._last = self.count + 1, self._tries + 1, now

    def stop(self, why: str) -> None:
        """End the one under way."""
        if self._run is not None:
            self._run.stop(Outcome.CANCELED, f"what it looked for is no longer followed: {why}")


def _cut_short(answer: ResultMessage | None) -> bool:
    """Whether another goal took the place of a look."""
    return answer is not None and (
        answer.outcome in (ResultMessage.PREEMPTED, ResultMessage.SHUTDOWN)
        or answer.error_code == ResultMessage.REJECTED_BUSY
    )
