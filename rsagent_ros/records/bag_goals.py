"""Goals of a bag: by topic, in plain text, and by action, where only the result was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rsagent_ros.records.message_fields import stamp_of


@dataclass(frozen=True, eq=False)
class BagGoal:
    """Reference to a goal in a bag: all that is known of it without decoding a picture.

    Attributes:
        goal_id: As given; made here where it was not.
        instruction: What to look for.
        position: Of its message among all that were indexed; frames with a lower one came before it.
        time: When it was logged, nanoseconds.
        stamp: Nanoseconds of the image to look at; 0 for the newest.
        camera: As the goal names it.
        time_budget, max_turns: As given; 0 where it was not.
        image, depth, camera_info: Messages to look at instead of a camera's; None where not given.
        previous_id: The goal that it follows up; empty for none.
        result: The rsagent_ros/Result that was recorded for it; None for none.
        image_stamp, frame_id: Of the image it looks at, nanoseconds; 0 and empty before that is decoded.
    """

    goal_id: str
    instruction: str
    position: int
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
    image_stamp: int = 0
    frame_id: str = ""

    @staticmethod
    def from_goal(goal: Any, position: int, time: int) -> BagGoal:
        """The goal in an rsagent_ros/Goal."""
        return BagGoal(
            goal.id,
            goal.instruction.strip(),
            position,
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
    def from_text(text: str, position: int, time: int) -> BagGoal:
        """The goal in a std_msgs/String."""
        return BagGoal("", text.strip(), position, time)

    @staticmethod
    def from_result(result: Any, position: int, time: int) -> BagGoal:
        """A goal by action, of which only the rsagent_ros/Result is on a topic: it looked at that one's image."""
        instruction, stamp = result.instruction.strip(), stamp_of(result.header.stamp)
        return BagGoal(result.goal_id, instruction, position, time, stamp, result.camera, result=result)


def join_results(goals: Sequence[BagGoal], results: Sequence[BagGoal]) -> list[BagGoal]:
    """Goals with the results that were recorded for them, then goals that are known by their result alone; named.

    A goal without an id was given one by the node: its result is the next one with the same words.
    """
    left = list(results)
    joined = []
    for goal in goals:
        mine = next((result for result in left if result.position > goal.position and _matches(goal, result)), None)
        if mine is not None:
            left.remove(mine)
            goal = replace(goal, goal_id=mine.goal_id, result=mine.result)
        joined.append(goal)
    # A result without a stamp is of a goal that never had an image: there is nothing to look at again.
    joined += [result for result in left if result.stamp]
    joined.sort(key=lambda goal: goal.position)
    return [goal if goal.goal_id else replace(goal, goal_id=f"goal-{n}") for n, goal in enumerate(joined, 1)]


def _matches(goal: BagGoal, result: BagGoal) -> bool:
    return goal.goal_id == result.goal_id if goal.goal_id else goal.instruction == result.instruction
