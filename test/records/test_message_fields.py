"""Messages as values: what a camera_info says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.records.message_fields import camera_of


def test_of_a_lens_that_distorts_the_rectified_images_matrix_counts() -> None:
    raw: dict[str, Any] = {
        "k": [600.0, 0, 320, 0, 610, 240, 0, 0, 1],
        "p": [545.0, 0, 318, 0, 0, 570, 236, 0, 0, 0, 1, 0],
    }
    straight = camera_of(SimpleNamespace(width=640, height=480, d=[0.0] * 5, **raw))
    bent = camera_of(SimpleNamespace(width=640, height=480, d=[-0.3, 0.1, 0, 0, 0], **raw))
    unknown = camera_of(SimpleNamespace(width=640, height=480, d=[-0.3], **(raw | {"p": [0.0] * 12})))
    assert straight == unknown == PinholeCamera(640, 480, 600.0, 610.0, 320.0, 240.0)
    assert bent == PinholeCamera(640, 480, 545.0, 570.0, 318.0, 236.0)
