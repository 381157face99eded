"""`Progress`: what the action's feedback says before the first turn, as a turn with the index 0."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from rsagent_ros.agent.turn import Turn
from rsagent_ros.msg import Turn as TurnMessage
from rsagent_ros.ros.conversions import text
from rsagent_ros.ros.goals.goal_request import GoalRequest


class Progress(StrEnum):
    """The words in `thought`; `msg/Turn.msg` lists them."""

    QUEUED = "queued"
    WAITING_FOR_IMAGE = "waiting for image"
    THINKING = "thinking"


def progress_message(request: GoalRequest, progress: Progress) -> TurnMessage:
    """The feedback of a goal that has no turn yet; `record` is a turn too, for clients that read only that."""
    turn = Turn(index=0, reply="", view=(0, 0, 0, 0), thought=progress.value)
    return TurnMessage(
        goal_id=request.id,
        instruction=text(request.instruction),
        index=0,
        thought=progress.value,
        record=msgspec.json.encode(turn).decode(),
    )
