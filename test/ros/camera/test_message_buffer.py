"""The buffer of frames: its bounds, and time that goes back."""

from __future__ import annotations

import array

from sensor_msgs.msg import Image

from rsagent_ros.ros.camera.message_buffer import MessageBuffer

SECOND = 1_000_000_000


def frame(size: int = 10) -> Image:
    return Image(data=array.array("B", bytes(size)))


def stamps(ring: MessageBuffer) -> list[float]:
    return [stamp / SECOND for stamp, _ in ring.messages]


def test_old_frames_are_dropped() -> None:
    ring = MessageBuffer(seconds=2.0, bytes=1e9)
    for number in range(10):
        ring.push(number * SECOND, frame())
    assert stamps(ring) == [7, 8, 9]
    assert ring.held == 30


def test_bytes_are_bounded_but_the_newest_frame_is_kept() -> None:
    ring = MessageBuffer(seconds=100.0, bytes=25)
    for number in range(5):
        ring.push(number * SECOND, frame(10))
    assert (stamps(ring), ring.held) == ([3, 4], 20)
    ring.push(5 * SECOND, frame(1000))
    assert (stamps(ring), ring.held) == ([5], 1000)


def test_when_time_goes_back_what_was_later_is_forgotten() -> None:
    ring = MessageBuffer(seconds=100.0, bytes=1e9)
    for number in (10, 11, 12, 11, 12.5):
        ring.push(int(number * SECOND), frame())
    assert stamps(ring) == [10, 11, 11, 12.5]
    ring.push(SECOND, frame())
    assert (stamps(ring), ring.held) == ([1], 10)


def test_the_nearest() -> None:
    ring = MessageBuffer(seconds=100.0, bytes=1e9)
    assert ring.nearest(0) is None
    for number in (1, 2, 3):
        ring.push(number * SECOND, frame())
    for wanted, stamp in ((0, 1), (1.4, 1), (1.6, 2), (9, 3)):
        found = ring.nearest(int(wanted * SECOND))
        assert found is not None
        assert found[0] == stamp * SECOND


def test_of_equal_stamps_the_last_one_is_nearest() -> None:
    ring = MessageBuffer(seconds=100.0, bytes=1e9)
    frames = [frame(size) for size in (1, 2, 3)]
    for one in frames:
        ring.push(5 * SECOND, one)
    entry = ring.nearest(5 * SECOND)
    assert entry is not None
    assert entry[1] is frames[-1]
