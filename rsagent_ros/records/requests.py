"""What was asked in a bag: goals by topic, goals in plain text, and goals of which only the result was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rsagent_ros.records.messages import stamp_of


@dataclass(frozen=True, eq=False)
class Asked:
    """A goal in a bag.

    Attributes:
        goal_id: As given; made here where it was not.
        instruction: What to look for.
        place: Of all messages that were surveyed, the one that it is; frames with a lower place came before it.
        time: When it was logged, nanoseconds.
        stamp: Nanoseconds of the image to look at; 0 for the newest.
        camera: As the goal names it.
        time_budget, max_turns: As given; 0 where it was not.
        image, depth, camera_info: Messages to look at instead of a camera's; None where not given.
        previous_id: The goal that it follows up; empty for none.
        result: The rsagent_ros/Result that was recorded for it; None for none.
    """

    goal_id: str
    instruction: str
    place: int
    time: int
    stamp: int = 0
    camera: str = ""
    time_budget: float = 0.0
    max_turns: int = 0
    image: Any = None
    depth: Any = None
    camera_info: Any = None
    result: Any = None
    previous_id: str = ""

    @staticmethod
    def by_message(goal: Any, place: int, time: int) -> Asked:
        """The goal in an rsagent_ros/Goal."""
        return Asked(
            goal.id,
            goal.instruction.strip(),
            place,
            time,
            stamp_of(goal.stamp),
            goal.camera,
            float(goal.time_budget),
            int(goal.max_turns),
            goal.image if goal.image.width else None,
            goal.depth if goal.depth.width else None,
            goal.camera_info if goal.camera_info.width else None,
            previous_id=goal.previous_id,
        )

    @staticmethod
    def by_text(words: str, place: int, time: int) -> Asked:
        """The goal in a std_msgs/String."""
        return Asked("", words.strip(), place, time)

    @staticmethod
    def by_result(result: Any, place: int, time: int) -> Asked:
        """A goal by action, of which only the result is on a topic: it looked at the image that the result is of."""
        words, stamp = result.instruction.strip(), stamp_of(result.header.stamp)
        return Asked(result.goal_id, words, place, time, stamp, result.camera, result=result)


def with_results(goals: Sequence[Asked], results: Sequence[Asked]) -> list[Asked]:
    """Goals with the results that were recorded for them, then goals that are known by their result alone; named.

    A goal without an id was given one by the node: its result is the next one with the same words.
    """
    left = list(results)
    joined = []
    for goal in goals:
        mine = next((result for result in left if result.place > goal.place and _of(goal, result)), None)
        if mine is not None:
            left.remove(mine)
            goal = replace(goal, goal_id=mine.goal_id, result=mine.result)
        joined.append(goal)
    # A result without a stamp is of a goal that never had an image: there is nothing to look at again.
    joined += [result for result in left if result.stamp]
    joined.sort(key=lambda goal: goal.place)
    return [goal if goal.goal_id else replace(goal, goal_id=f"goal-{n}") for n, goal in enumerate(joined, 1)]


def _of(goal: Asked, result: Asked) -> bool:
    return goal.goal_id == result.goal_id if goal.goal_id else goal.instruction == result.instruction
