"""`Hints`: the direction to look in next for what was not in view, along a chain of goals that follow each other up."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Vector3

from rsagent_ros.action import Segment
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.msg import Result as ResultMessage
from rsagent_ros.pose3d.next_view import NextView, next_view
from rsagent_ros.records.message_fields import camera_of
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.goals.goal_request import GoalRequest
from rsagent_ros.ros.newest import REMEMBERED_GOALS, Newest


class Hints:
    """The last hints by the id of their goal. For one thread at a time."""

    def __init__(self) -> None:
        self._given: Newest[str, NextView] = Newest(REMEMBERED_GOALS)

    def give(self, request: GoalRequest, frame: Frame | None, result: Result) -> NextView | None:
        """A hint for a goal that ended as NOT_IN_VIEW on a frame with depth; None for any other. Takes milliseconds.

        A goal with the `previous_id` of one that got a hint is taken to have followed it: by turning the camera, unless
        something hid what is to be seen.
        """
        if result.outcome is not Outcome.NOT_IN_VIEW or frame is None or frame.depth is None:
            return None
        camera = None if frame.camera_info is None else camera_of(frame.camera_info)
        if camera is None:
            return None
        followed = self._given.get(request.previous_id)
        if followed is not None and followed.hidden_by is not None:
            followed = None
        hint = next_view(frame.depth, camera, followed)
        if hint is not None:
            self._given[request.id] = hint
        return hint


def fill(message: ResultMessage | Segment.Result, hint: NextView) -> None:
    """Write a hint into a result."""
    message.has_view_direction = True
    x, y, z = (float(part) for part in hint.direction)
    message.view_direction = Vector3(x=x, y=y, z=z)
    if hint.hidden_by is not None:
        rows, columns = np.nonzero(hint.hidden_by)
        message.hidden_by = f"what is at pixel {int(np.median(columns))}, {int(np.median(rows))}"
