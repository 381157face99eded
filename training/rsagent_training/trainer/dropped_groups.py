"""Groups with an episode that could not be run: a step leaves them out, and a run only so many."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_training.trainer.run_folder import TrainingStopped

log = logging.getLogger(__name__)


class DroppedGroups:
    """Count of the groups that were left out.

    Attributes:
        count: So far, in this process and since it was started.
    """

    def __init__(self, samples: int, most: int) -> None:
        """Begin.

        Args:
            samples: Episodes of a group; groups follow one another.
            most: Groups that may be left out.
        """
        self.count = 0
        self._samples = samples
        self._most = most

    def stand_ins(self, traces: Sequence[Trace]) -> list[int]:
        """For each episode its own number; for those of a group that is left out, one of another group.

        A step has as many rows on every device, so that rows that are left out have to hold something.

        Raises:
            TrainingStopped: Too many groups were left out, or all of this step; the message has the last fault.
        """
        numbers = list(range(len(traces)))
        groups = [numbers[begin : begin + self._samples] for begin in range(0, len(numbers), self._samples)]
        faults = {number: fault for number in numbers if (fault := _fault(traces[number]))}
        kept = [group for group in groups if faults.keys().isdisjoint(group)]
        self.count += len(groups) - len(kept)
        for fault in dict.fromkeys(faults.values()):
            log.warning("%s; its group is left out (%d so far)", fault, self.count)
        if not kept or self.count > self._most:
            last = list(faults.values())[-1]
            many = "every group of this step" if not kept else f"{self.count} groups (max_dropped_groups {self._most})"
            raise TrainingStopped(
                f"{many} had an episode that could not be run; the last: {last}; the run can be resumed"
            )
        return [number if group in kept else kept[0][0] for group in groups for number in group]


def _fault(trace: Trace) -> str:
    """The sentence about an episode that nothing can be learned from; empty for others."""
    if trace.outcome is Outcome.FAILED or not trace.turns:
        return f"the episode on scene {trace.goal_id} failed: {trace.error_msg}"
    return ""
