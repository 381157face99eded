"""Tracking the objects of one goal: faults of tracks, images and trackers. No node is needed."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from rclpy.logging import get_logger
from ros_support import PATIENCE, image_of, picture, until
from rsagent_ros.msg import Goal
from rsagent_ros.msg import TrackedMask as TrackedMaskMessage
from std_msgs.msg import Header

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import ErrorCode, Instance, Outcome, Result
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.camera.frame_buffer import FrameBuffer
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.ros.goals.goal_request import GoalRequest
from rsagent_ros.ros.goals.publishers import Publishers
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.tracking.track_group import TrackGroup
from rsagent_ros.ros.tracking.tracking import TRACKING as TRACKING_THREAD
from rsagent_ros.ros.tracking.tracking import Tracking
from rsagent_ros.trackers import TrackedMask

SECOND = 1_000_000_000
HEIGHT, WIDTH = 48, 64


def square(x: int, y: int = 10, side: int = 8) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y : y + side, x : x + side] = True
    return mask


class FakeTracker:
    """Tracks that stand still, and do as they are told in the step of a stamp."""

    name = "fake"

    def __init__(self, **faults: Exception) -> None:
        self.faults = faults
        self.steps: list[int] = []
        self.open = 0
        self.release, self.may_close = threading.Event(), threading.Event()
        self.release.set()
        self.may_close.set()

    def start(self, frame: NDArray[np.uint8], mask: Mask, stamp_ns: int) -> FakeTrack:
        if "start" in self.faults:
            raise self.faults["start"]
        self.open += 1
        return FakeTrack(self, mask)


class FakeTrack:
    def __init__(self, tracker: FakeTracker, mask: Mask) -> None:
        self.tracker = tracker
        self.mask = mask
        self.closed = False

    def step(self, frame: NDArray[np.uint8], stamp_ns: int) -> TrackedMask:
        self.tracker.steps.append(stamp_ns)
        self.tracker.release.wait()
        fault = self.tracker.faults.get(f"at_{stamp_ns // SECOND}")
        if fault is not None:
            raise fault
        return TrackedMask(stamp_ns, self.mask, 0.9, False)

    def close(self) -> None:
        assert self.tracker.may_close.wait(PATIENCE)
        self.tracker.open -= not self.closed
        self.closed = True


def begun(tracker: FakeTracker, masks: dict[int, Mask] | None = None, at: int = 100) -> TrackGroup:
    """A group that was grounded at a second."""
    masks = {1: square(10)} if masks is None else masks
    group = TrackGroup(goal_of(), tracker, FrameBuffer(10.0), frame(at), masks)
    ground(group, masks, at)
    return group


def goal_of(**parameters: Any) -> ActiveGoal:
    return ActiveGoal(
        GoalRequest.of(Goal(id="mine", instruction="a thing", track=True), "topic"), NodeParameters(**parameters)
    )


def frame(at: int) -> Frame:
    return Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), Header(), stamp_ns=at * SECOND)


class Recorded:
    """The node around `Tracking`: what it publishes, and which images it wants no more."""

    def __init__(self) -> None:
        self.states: list[int] = []
        self.unwatched: list[object] = []
        self.tracks_wanted = False
        self.status = self  # one thing takes both masks and sentences here

    def publish(self, sentence: str) -> None:
        """Take a line for people; the states say the same."""

    def track(self, message: TrackedMaskMessage) -> None:
        self.states.append(message.state)

    def unwatch(self, buffer: object) -> None:
        self.unwatched.append(buffer)


def ground(group: TrackGroup, masks: dict[int, Mask], at: int) -> None:
    group.ground(frame(at), masks, group.buffer)


def test_it_steps_to_the_newest_image_only() -> None:
    tracker = FakeTracker()
    group = begun(tracker)
    assert not group.step()
    for second in (101, 102, 103):
        group.buffer.push(second * SECOND, picture(WIDTH, HEIGHT))
    assert group.step()
    assert tracker.steps == [103 * SECOND]
    group.buffer.push(103 * SECOND, picture(WIDTH, HEIGHT))  # twice
    group.buffer.push(103 * SECOND - 5, picture(WIDTH, HEIGHT))  # late
    assert not group.step()
    assert group.lost == []


def test_images_that_cannot_be_read_are_passed_over() -> None:
    tracker = FakeTracker()
    group = TrackGroup(goal_of(catch_up_seconds=10.0), tracker, FrameBuffer(10.0), frame(100), {1: square(10)})
    broken = picture(WIDTH, HEIGHT)
    broken.encoding = "cmyk"
    for second, message in ((101, picture(WIDTH, HEIGHT)), (102, broken), (103, picture(WIDTH, HEIGHT))):
        group.buffer.push(second * SECOND, message)
    ground(group, {1: square(10)}, 100)
    assert tracker.steps == [101 * SECOND, 103 * SECOND]
    group.buffer.push(104 * SECOND, broken)
    assert not group.step()
    assert group.lost == []


def test_images_of_which_none_can_be_read_are_like_no_images() -> None:
    group = begun(FakeTracker())
    last_frame_at = group.last_frame_at
    broken = picture(WIDTH, HEIGHT)
    broken.encoding = "cmyk"
    group.buffer.push(101 * SECOND, broken)
    assert not group.step()
    assert group.last_frame_at == last_frame_at
    group.buffer.push(102 * SECOND, picture(WIDTH, HEIGHT))
    assert group.step()
    assert group.last_frame_at > last_frame_at


def test_what_came_while_it_was_grounded_again_is_no_jump_back() -> None:
    tracker = FakeTracker()
    group = begun(tracker, {1: square(10), 2: square(30)})
    look = FrameBuffer(10.0)
    for second in range(101, 110):
        group.buffer.push(second * SECOND, picture(WIDTH, HEIGHT))
        look.push(second * SECOND, picture(WIDTH, HEIGHT))
    group.ground(frame(100), {2: square(33)}, look)
    group.step()
    group.buffer.push(110 * SECOND, picture(WIDTH, HEIGHT))
    assert group.step()
    assert group.lost == []
    assert tracker.steps[-1] == 110 * SECOND


def test_memory_that_is_full_loses_a_frame_and_not_the_thing() -> None:
    group = begun(FakeTracker(at_101=RunFailed(ErrorCode.OUT_OF_MEMORY, "the GPU is full")))
    group.buffer.push(101 * SECOND, picture(WIDTH, HEIGHT))
    assert group.step()
    assert [one.reason for one in group.lost] == ["the GPU is full"]
    group.buffer.push(102 * SECOND, picture(WIDTH, HEIGHT))
    assert group.step()
    assert group.lost == []


@pytest.mark.parametrize(
    ("stamp", "size", "told"),
    [
        (101, (2 * WIDTH, HEIGHT), "the camera's images changed from 64 x 48 to 128 x 48"),
        (40, (WIDTH, HEIGHT), "the camera's stamps went back by 60.000 s"),
    ],
)
def test_nothing_goes_on_after_a_break_until_it_is_grounded_again(stamp: int, size: tuple[int, int], told: str) -> None:
    tracker = FakeTracker()
    group = begun(tracker, {1: square(10), 2: square(30)})
    group.buffer.push(stamp * SECOND, picture(*size))
    assert group.step()
    assert [one.reason for one in group.lost] == [told, told]
    assert tracker.open == 0
    group.buffer.push((stamp + 1) * SECOND, picture(WIDTH, HEIGHT))
    assert group.step()
    assert len(group.lost) == 2
    ground(group, {2: square(33)}, stamp + 2)
    group.buffer.push((stamp + 3) * SECOND, picture(WIDTH, HEIGHT))
    assert group.step()
    assert [one.track_id for one in group.lost] == [1]
    assert [one.track_id for one in group.objects] == [1, 2]
    group.close()
    assert tracker.open == 0


def test_an_object_that_cannot_be_started_is_lost() -> None:
    group = begun(FakeTracker(start=ValueError("the mask is empty")))
    assert [one.reason for one in group.lost] == ["it can't be tracked: ValueError: the mask is empty"]


def test_what_the_agent_found_again_gets_its_old_number() -> None:
    group = begun(FakeTracker(), {3: square(5), 4: square(30), 5: square(50)})
    for one in group.objects[1:]:
        one.mark_lost("out of view")
    found = [square(48, 12), square(6), square(28, 30), square(20, 30)]
    #        nearest to 5, is 3 itself, nearest to 4, nobody's
    assert group.match_lost(found, {3: square(5)}) == [5, -1, 4, -1]
    assert group.match_lost([square(6)], {3: square(5)}) == [-1]
    assert group.match_lost([], {}) == []


def test_an_image_of_another_size_on_the_way_ends_the_catching_up() -> None:
    group = TrackGroup(goal_of(), FakeTracker(), FrameBuffer(10.0), frame(100), {1: square(10)})
    group.buffer.push(101 * SECOND, image_of(np.zeros((10, 10, 3), np.uint8), "rgb8"))
    ground(group, {1: square(10)}, 100)
    assert [one.reason for one in group.lost] == ["the camera's images changed from 64 x 48 to 10 x 10"]


# --- in its thread


def tracking_of(tracker: FakeTracker, node: Recorded) -> Tracking:
    return Tracking(tracker, cast(Publishers, node), lambda request: None, get_logger("test"))


def found(tracking: Tracking, node: Recorded) -> tuple[tuple[int, ...], FrameBuffer]:
    goal = goal_of()
    buffer = tracking.frame_buffer(goal)
    assert buffer is not None
    buffer.on_leave = partial(node.unwatch, buffer)
    result = Result(Outcome.FOUND, instances=(Instance(square(10), Box(10, 10, 18, 18), 0.9, 1),))
    return tracking.begin(goal, frame(100), result, buffer), buffer


def test_a_tracker_that_hangs_is_left_behind_and_says_nothing_more() -> None:
    node, tracker = Recorded(), FakeTracker()
    tracking = tracking_of(tracker, node)
    _, buffer = found(tracking, node)
    until(lambda: node.states == [TrackedMaskMessage.TRACKING])
    tracker.release.clear()
    buffer.push(101 * SECOND, picture(WIDTH, HEIGHT))
    until(lambda: tracker.steps == [101 * SECOND])
    tracking.close()  # returns, though the step does not
    assert node.states == [TrackedMaskMessage.TRACKING, TrackedMaskMessage.STOPPED]
    assert found(tracking, node)[0] == ()
    tracker.release.set()
    until(lambda: TRACKING_THREAD not in [thread.name for thread in threading.enumerate()])
    assert len(node.states) == 2


def test_a_track_that_is_stopped_before_it_has_begun_ends_all_the_same() -> None:
    node, tracker = Recorded(), FakeTracker()
    tracking = tracking_of(tracker, node)
    tracker.release.clear()
    _, buffer = found(tracking, node)
    buffer.push(101 * SECOND, picture(WIDTH, HEIGHT))
    tracking.stop("mine")  # as soon as the result was out
    tracker.release.set()
    until(lambda: node.states[-1:] == [TrackedMaskMessage.STOPPED])
    until(lambda: buffer in node.unwatched)

    tracker.release.clear()
    first, buffer = found(tracking, node)
    buffer.push(101 * SECOND, picture(WIDTH, HEIGHT))
    second, _ = found(tracking, node)  # waits for the first one, which hangs
    before = len(node.states)
    tracking.close()
    assert (len(first), len(second)) == (1, 1)
    assert node.states[before:] == [TrackedMaskMessage.STOPPED, TrackedMaskMessage.STOPPED]
    tracker.release.set()


def test_a_defect_of_a_tracker_ends_its_tracks_and_not_the_next_ones() -> None:
    node, tracker = Recorded(), FakeTracker(at_101=KeyError("a defect"))
    tracking = tracking_of(tracker, node)
    _, buffer = found(tracking, node)
    buffer.push(101 * SECOND, picture(WIDTH, HEIGHT))
    until(lambda: TrackedMaskMessage.STOPPED in node.states)
    until(lambda: buffer in node.unwatched)
    before = len(node.states)
    found(tracking, node)
    until(lambda: node.states[before:] == [TrackedMaskMessage.TRACKING])
    tracking.close()
    assert tracker.open == 0


def test_what_is_closed_just_as_it_begins_is_stopped_all_the_same() -> None:
    node, tracker = Recorded(), FakeTracker()
    tracking = tracking_of(tracker, node)
    found(tracking, node)
    until(lambda: node.states == [TrackedMaskMessage.TRACKING])
    tracker.may_close.clear()  # the end of the group before takes its time
    ids, buffer = found(tracking, node)
    until(lambda: node.states == [TrackedMaskMessage.TRACKING, TrackedMaskMessage.STOPPED])
    tracking.close()
    tracker.may_close.set()
    assert len(ids) == 1
    assert node.states == [TrackedMaskMessage.TRACKING, TrackedMaskMessage.STOPPED, TrackedMaskMessage.STOPPED]
    until(lambda: buffer in node.unwatched)
    assert tracker.open == 0
