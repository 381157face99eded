"""`GoalRequest`: what one goal asks for, as its message says it."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from typing import Literal

from sensor_msgs.msg import CameraInfo, Image

from rsagent_ros.action import Segment
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.msg import Goal as GoalMessage
from rsagent_ros.ros.parameters import PARAMETERS
from rsagent_ros.ros.stamps import nanoseconds

Source = Literal["action", "topic", "track"]
"""`track`: the node's own goal, which looks again for what its tracks have lost."""

MAX_ID = 128
"""Characters of a goal's id."""


@dataclass(frozen=True, eq=False)
class GoalRequest:
    """A goal's message, not checked yet.

    Attributes:
        id: As given; else the action's UUID, or one made here, as 32 hexadecimal digits.
        previous_id: The goal it follows up; empty for none.
        instruction: The words to look for.
        camera: Name of the camera; empty for the default, `*` for all.
        stamp: Nanoseconds of the frame to look at; 0 for the newest.
        image, camera_info, depth: To look at instead of a camera; None where not given.
        time_budget: Seconds from acceptance to result, as given; 0 for the node's default.
        max_turns: Replies of the policy, as given; 0 for the node's default.
        priority: Higher goes first where goals wait.
        track: Keep the mask alive after FOUND.
        reground: Look again where it is lost.
        source: How it came.
    """

    id: str
    previous_id: str
    instruction: str
    camera: str
    stamp: int
    image: Image | None
    camera_info: CameraInfo | None
    depth: Image | None
    time_budget: float
    max_turns: int
    priority: int
    track: bool
    reground: bool
    source: Source

    @staticmethod
    def of(goal: GoalMessage | Segment.Goal, source: Source, action_uuid: bytes = b"") -> GoalRequest:
        """Take over a message; nothing is checked.

        Args:
            goal: The message.
            source: How it came.
            action_uuid: The 16 bytes by which the action knows the goal: its id, where the client gave none.
        """
        return GoalRequest(
            id=goal.id or action_uuid.hex() or uuid.uuid4().hex,
            previous_id=goal.previous_id,
            instruction=goal.instruction.strip(),
            camera=goal.camera,
            stamp=nanoseconds(goal.stamp),
            image=goal.image if goal.image.width else None,
            camera_info=goal.camera_info if goal.camera_info.width else None,
            depth=goal.depth if goal.depth.width else None,
            time_budget=goal.time_budget,
            max_turns=goal.max_turns,
            priority=goal.priority,
            track=goal.track or goal.reground,
            reground=goal.reground,
            source=source,
        )

    def check(self) -> None:
        """Refuse what can't be done.

        Raises:
            RunFailed: INVALID_GOAL; the sentence says what to do instead.
        """
        low, high = PARAMETERS["time_budget"].setting.low, PARAMETERS["time_budget"].setting.high
        if len(self.id) > MAX_ID or not self.id.isprintable():
            raise RunFailed(ErrorCode.INVALID_GOAL, f"a goal's id is at most {MAX_ID} printable characters")
        if not self.instruction:
            raise RunFailed(ErrorCode.INVALID_GOAL, "the instruction is empty: say what to look for")
        if self.time_budget != 0 and not (math.isfinite(self.time_budget) and low <= self.time_budget <= high):
            raise RunFailed(
                ErrorCode.INVALID_GOAL,
                f"time_budget is {self.time_budget:g} s; allowed: 0 (the node's default) or {low:g} to {high:g}",
            )
        if self.track and self.image is not None:
            raise RunFailed(
                ErrorCode.INVALID_GOAL,
                "what is found in an image of the goal's own can't be tracked: leave track and reground false, or the "
                "image empty",
            )
