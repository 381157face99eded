"""Images that wait for who follows: bounded, and thinned out evenly. No node is needed."""

from __future__ import annotations

import numpy as np
from ros_support import image_of
from sensor_msgs.msg import Image

from rsagent_ros.ros.camera.frame_buffer import FrameBuffer


def image(kilobytes: int = 100) -> Image:
    return image_of(np.zeros((10, kilobytes * 100), np.uint8), "mono8")


def stamps(footage: FrameBuffer) -> list[int]:
    return [stamp for stamp, _ in footage.take()]


def test_what_comes_is_taken_once_and_in_order() -> None:
    footage, news = FrameBuffer(1.0), []
    footage.push(1, image())
    footage.on_news = lambda: news.append("an image")
    footage.push(2, image())
    assert not footage.empty
    assert stamps(footage) == [1, 2]
    assert footage.empty
    assert stamps(footage) == []
    assert news == ["an image"]


def test_too_much_is_thinned_out_evenly_and_the_newest_stays() -> None:
    footage = FrameBuffer(1.0)
    for stamp in range(1, 1001):
        footage.push(stamp, image())
    kept = stamps(footage)
    assert kept[-1] == 1000
    assert 5 <= len(kept) <= 10  # ten fit
    gaps = np.diff([0, *kept])
    assert max(gaps) <= 1000 / 5  # no part of the time is missing
    footage.push(1001, image())
    assert stamps(footage) == [1001]


def test_an_image_larger_than_all_is_kept_alone() -> None:
    footage = FrameBuffer(0.001)
    footage.push(1, image())
    footage.push(2, image())
    assert stamps(footage) == [2]
