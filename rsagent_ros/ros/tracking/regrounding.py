"""Re-detection of lost objects: when the agent looks again, how often, and what for.

Each look is a goal of the node's own, with the instruction of the tracked goal. Any other goal pre-empts it, and then
it does not count. Each look waits twice as long as the one before, and there are `reground_tries` of them until nothing
was lost for `track_lost_timeout`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.msg import Result as ResultMessage
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.ros.goals.goal_request import GoalRequest
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.tracking.track_group import TrackGroup


class Regrounding:
    """Looks of the agent for what one group has lost. For the tracking thread; `seen_during` for any.

    Attributes:
        count: Looks so far.
    """

    def __init__(self, submit: Callable[[GoalRequest], ActiveGoal | None]) -> None:
        """Prepare; nothing is looked for yet.

        Args:
            submit: Submits a goal of the node's own and returns at once; None while other goals run or wait.
        """
        self._submit = submit
        self._goal: ActiveGoal | None = None
        self._seen: tuple[str, Mapping[int, Mask]] = ("", {})
        self._tries = 0
        self._next = self._last = 0.0
        self.count = 0

    @property
    def running(self) -> bool:
        """Whether a look is under way, or has ended and `finish` has not noted it yet."""
        return self._goal is not None

    def seen_during(self, goal_id: str) -> Mapping[int, Mask] | None:
        """Masks of the objects that were not lost when the look of this id began; None unless it is under way."""
        look_id, seen = self._seen
        return seen if look_id == goal_id else None

    def finish(self, parameters: NodeParameters, now: float) -> bool:
        """Note the end of the look under way; False while it goes on.

        Args:
            parameters: Of the tracked goal.
            now: `time.monotonic()`.
        """
        if self._goal is None or not self._goal.closed.is_set():
            return False
        if _was_preempted(self._goal.answer):
            self._tries -= 1
        self._next = now + parameters.reground_after * 2**self._tries
        self._seen, self._goal = ("", {}), None
        return True

    def begin(self, group: TrackGroup, now: float) -> None:
        """Look, if the goal asked for `reground` and it is time. Returns at once."""
        request, parameters = group.goal.request, group.goal.parameters
        if self._tries and now - self._last > parameters.track_lost_timeout:
            self._tries = 0  # nothing was lost for a while
        if not request.reground or self._tries >= parameters.reground_tries or now < self._next:
            return
        look_id = f"{request.id[:100]}/look-{self.count + 1}"
        self._seen = look_id, {one.track_id: one.mask for one in group.objects if not one.lost}
        self._goal = self._submit(replace(request, id=look_id, camera=group.camera, stamp=0, source="track"))
        if self._goal is not None:
            self.count, self._tries, self._last = self.count + 1, self._tries + 1, now

    def stop(self, reason: str) -> None:
        """Cancel the look under way."""
        if self._goal is not None:
            self._goal.stop(Outcome.CANCELED, f"tracking of what it looks for stopped: {reason}")


def _was_preempted(answer: ResultMessage | None) -> bool:
    """Whether another goal replaced a look."""
    return answer is not None and (
        answer.outcome in (ResultMessage.PREEMPTED, ResultMessage.SHUTDOWN)
        or answer.error_code == ResultMessage.REJECTED_BUSY
    )
