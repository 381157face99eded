"""The image that a goal looks at: tables worked by hand from the contract in `ros.camera.frame_selection`."""

from __future__ import annotations

import pytest

from rsagent_ros.records.bag_goals import BagGoal
from rsagent_ros.records.bag_index import BagIndex, MessageRef
from rsagent_ros.records.camera_topics import CameraTopics, camera_topics
from rsagent_ros.records.image_choice import ImageChoiceConfig, NoImageError, companion_of, image_for

SECOND = 1_000_000_000
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"


def seen(position: int, time: float, stamp: float | None = None) -> MessageRef:
    return MessageRef(position, round(time * SECOND), round((time if stamp is None else stamp) * SECOND))


def chosen(position: int, time: float, images: list[MessageRef], stamp: float = 0.0) -> int:
    goal = BagGoal("g", "a thing", position, round(time * SECOND), round(stamp * SECOND))
    return image_for(goal, images, "/camera", ImageChoiceConfig()).position


IMAGES = [seen(0, 10.0), seen(1, 10.5), seen(4, 11.0)]


@pytest.mark.parametrize(
    ("position", "time", "stamp", "expected"),
    [
        (2, 10.6, 0, 1),  # the newest that came before it
        (5, 11.9, 0, 4),  # still fresh
        (5, 10.9, 0, 4),  # what counts is what came before, not the clock
        (-1, 9.0, 0, 0),  # before all: the first that comes in time
        (9, 99.0, 10.52, 1),  # a stamp: the nearest, however old
        (2, 10.6, 11.0, 4),  # a stamp that is still to come
    ],
)
def test_the_image_of_a_goal(position: int, time: float, stamp: float, expected: int) -> None:
    assert chosen(position, time, IMAGES, stamp) == expected


def test_a_stale_image_is_not_taken_but_the_next_one_is() -> None:
    assert chosen(1, 13.0, [seen(0, 10.0), seen(2, 13.5)]) == 2
    assert chosen(1, 13.0, [seen(0, 10.0), seen(2, 13.5, 9.0), seen(3, 13.6)]) == 3


@pytest.mark.parametrize(
    ("position", "time", "stamp", "images", "says"),
    [
        (0, 10.0, 0.0, [], "there is no image on /camera"),
        (5, 12.5, 0.0, IMAGES, r"is stamped 1\.500 s before it, more than max_frame_age \(1 s\)"),
        (5, 9.0, 0.0, IMAGES, r"is stamped 2\.000 s after it"),
        (-1, 1.0, 0.0, IMAGES, r"came 9\.000 s after it.*frame_timeout \(4 s\)"),
        (9, 99.0, 10.7, IMAGES, r"nearest to its stamp is 0\.200 s off, more than stamp_tolerance \(0\.05 s\)"),
    ],
)
def test_no_image_is_told(position: int, time: float, stamp: float, images: list[MessageRef], says: str) -> None:
    with pytest.raises(NoImageError, match=says):
        chosen(position, time, images, stamp)


def test_companions_fit_or_are_left_out() -> None:
    others = [seen(7, 10.49), seen(8, 10.56)]
    assert companion_of(IMAGES[1], others, ImageChoiceConfig()) == others[0]
    assert companion_of(IMAGES[2], others, ImageChoiceConfig()) is None
    assert companion_of(IMAGES[0], [], ImageChoiceConfig()) is None


def test_bounds_are_not_negative() -> None:
    with pytest.raises(ValueError, match="max_frame_age is -1"):
        ImageChoiceConfig(max_frame_age=-1)


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ({"/c/image": IMAGE}, CameraTopics("/c/image")),
        ({"/c/image": IMAGE, "/c/image/compressed": COMPRESSED}, CameraTopics("/c/image")),
        (
            {"/c/i/compressed": COMPRESSED, "/c/camera_info": INFO},
            CameraTopics("/c/i/compressed", camera_info="/c/camera_info"),
        ),
        (
            {"/c/color/image_raw": IMAGE, "/c/aligned_depth_to_color/image_raw": IMAGE, "/c/color/camera_info": INFO,
             "/c/aligned_depth_to_color/camera_info": INFO, "/agent/overlay": IMAGE, "/agent/mask_image": IMAGE,
             "/agent/goal_image": IMAGE, "/agent/label_image": IMAGE},
            CameraTopics("/c/color/image_raw", "/c/aligned_depth_to_color/image_raw", "/c/color/camera_info"),
        ),
        ({"/c/image": IMAGE, "/a/depth": IMAGE, "/b/depth": IMAGE}, CameraTopics("/c/image")),
        (
            {"/c/image": IMAGE, "/d/depth": IMAGE, "/d/depth/compressedDepth": COMPRESSED},
            CameraTopics("/c/image", "/d/depth"),
        ),
        (
            {"/c/image/compressed": COMPRESSED, "/d/depth/compressedDepth": COMPRESSED,
             "/d/depth/compressed": COMPRESSED},
            CameraTopics("/c/image/compressed", "/d/depth/compressedDepth"),
        ),
        ({"/c/image": IMAGE, "/d/depth/compressed": COMPRESSED}, CameraTopics("/c/image", "/d/depth/compressed")),
    ],
)  # fmt: skip
def test_the_camera_of_a_bag(types: dict[str, str], expected: CameraTopics) -> None:
    assert camera_topics(BagIndex(types=types)) == expected


@pytest.mark.parametrize(
    ("types", "topic", "says"),
    [
        ({}, "", "no topic has images of a camera; images are on: none"),
        ({"/depth": IMAGE}, "", "images are on: /depth"),
        ({"/left": IMAGE, "/right": IMAGE}, "", "several topics have images, name one: /left, /right"),
        ({"/left": IMAGE}, "/middle", "the bag has no images on /middle; images are on: /left"),
        ({"/left": IMAGE, "/info": INFO}, "/info", "/info is of sensor_msgs/msg/CameraInfo"),
    ],
)
def test_no_one_camera(types: dict[str, str], topic: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        camera_topics(BagIndex(types=types), topic)
