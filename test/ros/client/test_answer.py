"""Answers as a planner reads them: positions where depth gave them, and a `repr` that fits on a line."""

from __future__ import annotations

import numpy as np
import pytest
from rsagent_ros.action import Segment
from rsagent_ros.msg import Instance
from std_msgs.msg import Header

from rsagent_ros.ros.camera.images import mask_image
from rsagent_ros.ros.client.answer import answer_of

CAMERA = Header(frame_id="camera_optical_frame")


def instance(*, position: tuple[float, float, float] | None = None, frame: str = "", track_id: int = -1) -> Instance:
    mask = np.zeros((480, 640), np.bool_)
    mask[100:200, 50:150] = True
    message = Instance(mask=mask_image(mask, CAMERA), confidence=0.9, track_id=track_id)
    message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height = 50, 100, 100, 100
    if position is not None:
        message.has_pose, message.pose.header.frame_id = True, frame
        point = message.pose.pose.position
        point.x, point.y, point.z = position
        message.size.x, message.size.y, message.size.z = 0.1, 0.08, 0.12
    return message


def test_instances_have_a_position_where_depth_gave_one() -> None:
    instances = [instance(position=(0.1, -0.2, 1.5), frame="base_link", track_id=3), instance()]
    there, nowhere = answer_of(Segment.Result(outcome=Segment.Result.FOUND, instances=instances)).instances
    assert there.position is not None
    assert there.size is not None
    assert there.position.tolist() == [0.1, -0.2, 1.5]
    assert there.size.tolist() == pytest.approx([0.1, 0.08, 0.12])
    assert (there.frame_id, there.track_id, int(there.mask.sum())) == ("base_link", 3, 10_000)
    assert (nowhere.position, nowhere.size, nowhere.frame_id, nowhere.track_id) == (None, None, "", -1)


FOUND = {"outcome": Segment.Result.FOUND, "instances": [instance(position=(0.1, -0.2, 1.5), frame="base_link")]}
AMBIGUOUS = {"outcome": Segment.Result.AMBIGUOUS, "candidates": [instance(), instance()], "question": "which one?"}
FAILED = {"outcome": Segment.Result.FAILED, "error_code": Segment.Result.NO_FRAME, "error_msg": "no publisher"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (FOUND, ["found", "confidence=0.90", "(50, 100, 150, 200)", "(0.100, -0.200, 1.500) in 'base_link'"]),
        (AMBIGUOUS, ["ambiguous", "'which one?'", "candidates=["]),
        (FAILED, ["failed", "NO_FRAME: 'no publisher'"]),
    ],
    ids=["found", "ambiguous", "failed"],
)
def test_an_answer_is_told_in_a_line(fields: dict[str, object], words: list[str]) -> None:
    told = repr(answer_of(Segment.Result(goal_id="mine", **fields)))
    assert [word in told for word in [*words, "'mine'"]] == [True] * (len(words) + 1)
    assert "array" not in told
    assert "\n" not in told
    assert len(told) < 400
