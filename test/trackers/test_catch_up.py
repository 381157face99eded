"""Catching up: all frames where there is time, evenly fewer where there is not, and always the newest one."""

from __future__ import annotations

import numpy as np
import pytest
from moving_pictures import Film
from numpy.typing import NDArray

from rsagent_ros.agent.mask import iou
from rsagent_ros.baseline.tracker import ClassicalTracker
from rsagent_ros.trackers import TrackedMask, catch_up

FRAMES = [(stamp, np.full((4, 4, 3), stamp, np.uint8)) for stamp in range(1, 61)]


class TimedTrack:
    """A track whose steps take so many seconds of a clock that only it moves."""

    def __init__(self, *costs: float) -> None:
        self.costs = costs
        self.now = 0.0
        self.stamps: list[int] = []

    def clock(self) -> float:
        return self.now

    def step(self, frame: NDArray[np.uint8], stamp_ns: int) -> TrackedMask:
        assert int(frame[0, 0, 0]) == stamp_ns
        self.now += self.costs[len(self.stamps) % len(self.costs)]
        self.stamps.append(stamp_ns)
        return TrackedMask(stamp_ns, np.ones((4, 4), np.bool_), 1.0, False)

    def close(self) -> None:
        pass


def test_every_frame_is_used_where_there_is_time() -> None:
    track = TimedTrack(0.001)
    caught = catch_up(track, FRAMES, seconds=1.0, clock=track.clock)
    assert track.stamps == list(range(1, 61))
    assert (caught.used, caught.skipped, caught.newest.stamp_ns) == (60, 0, 60)
    assert caught.seconds == pytest.approx(0.06)


@pytest.mark.parametrize("costs", [(0.05,), (0.03, 0.03, 0.03, 0.12), (0.2,), (3.0,)])
def test_slow_steps_skip_frames_evenly_and_keep_to_the_time(costs: tuple[float, ...]) -> None:
    track = TimedTrack(*costs)
    caught = catch_up(track, FRAMES, seconds=1.0, clock=track.clock)
    assert track.stamps[-1] == caught.newest.stamp_ns == 60
    assert track.stamps == sorted(set(track.stamps))
    assert caught.used == len(track.stamps)
    assert caught.used + caught.skipped == 60
    assert caught.seconds <= 1.0 + 2 * max(costs)
    gaps = np.diff(track.stamps)
    if len(gaps) > 4:
        assert max(gaps[1:-1]) <= 4 * min(gaps[1:-1])


def test_one_frame_and_none() -> None:
    track = TimedTrack(9.0)
    assert catch_up(track, FRAMES[-1:], seconds=0.0, clock=track.clock).newest.stamp_ns == 60
    with pytest.raises(ValueError, match="no frames"):
        catch_up(track, [])


def test_the_mask_arrives_on_the_newest_frame() -> None:
    film = Film(pan=(2.0, 0.5))
    picture, mask = film.frame(0)
    track = ClassicalTracker().start(picture, mask, 0)
    caught = catch_up(track, [(index, film.frame(index)[0]) for index in range(1, 25)], seconds=60.0)
    now = film.frame(24)[1]
    assert caught.used == 24
    assert iou(caught.newest.mask, now) > 0.85
    assert iou(mask, now) < 0.3  # without, the answer would be about the past
