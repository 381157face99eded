"""The things that one goal has found, followed from frame to frame. For one thread, which `tracking` has."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.mask import Mask, iou
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.camera.frame_buffer import FrameBuffer, StampedImage
from rsagent_ros.ros.camera.images import to_rgb
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.trackers import Caught, Track, TrackedMask, Tracker, catch_up

BACK_NS = 1_000_000_000
"""A frame so much older than the last one is from another run of the clock; one that is less so came late."""

ROUNDS = 3
"""While a thing catches up, more frames come; those are caught up with too, in less time each round."""

SAME = 0.5
"""IoU from which on what was found again is a thing that is followed already."""


@dataclass
class TrackedObject:
    """One thing that is followed.

    Attributes:
        track_id: Unique in the node's run.
        grounded_ns: Stamp of the frame that the agent found it on.
        stamp_ns: Of the last frame that it was looked for in.
        mask: (H, W) bool, where it was seen last.
        score: 0..1 in the last frame.
        track: None when it can't be followed any more, only found again by the agent.
        lost_since: `time.monotonic()`; None while it is seen.
        reason: Why it is lost; empty while it is seen.
        told: State that was published last; 0 before the first.
    """

    track_id: int
    grounded_ns: int
    stamp_ns: int
    mask: Mask
    score: float = 1.0
    track: Track | None = None
    lost_since: float | None = None
    reason: str = ""
    told: int = 0

    def saw(self, answer: TrackedMask) -> None:
        """Take over what the track says of a frame."""
        self.stamp_ns, self.score = answer.stamp_ns, answer.score
        if answer.lost or not answer.mask.any():
            self.lose(answer.reason or "nothing of it is visible")
        else:
            self.mask, self.lost_since, self.reason = answer.mask, None, ""

    def lose(self, reason: str) -> None:
        """It is not seen; since when does not change while that goes on."""
        self.lost_since = time.monotonic() if self.lost_since is None else self.lost_since
        self.score, self.reason = 0.0, reason

    def give_up(self, reason: str) -> None:
        """It can't be followed any more."""
        if self.track is not None:
            self.track.close()
        self.track = None
        self.lose(reason)


class _Unreadable(Exception):
    """An image that can't be converted; it is passed over."""

    def __init__(self, stamp: int) -> None:
        self.stamp = stamp


class _Broken(Exception):
    """No track goes on from here; the sentence says why."""


class _Reel(Sequence[tuple[int, NDArray[np.uint8]]]):
    """Messages as frames, converted when they are looked at: `catch_up` leaves most of them out."""

    def __init__(self, shots: Sequence[StampedImage], size: tuple[int, int]) -> None:
        self._shots = shots
        self._size = size

    def __len__(self) -> int:
        return len(self._shots)

    def __getitem__(self, index: int) -> tuple[int, NDArray[np.uint8]]:  # type: ignore[override]  # no slices
        stamp, message = self._shots[index]
        try:
            rgb = to_rgb(message)
        except RunFailed as error:
            raise _Unreadable(stamp) from error
        if rgb.shape[:2] != self._size:
            height, width = self._size
            raise _Broken(f"the camera's images are {rgb.shape[1]} x {rgb.shape[0]} now, they were {width} x {height}")
        return stamp, rgb


class TrackGroup:
    """What one goal found.

    Attributes:
        run: The goal.
        feed: The images that come; it is emptied by `step`.
        camera: Name of the camera that they come from.
        things: In the order of the result's instances.
        header: Of the last frame.
        size: (height, width) of it.
        rgb: (H, W, 3) uint8 of it; None before the first step, and when it can't be read.
        seen_at: `time.monotonic()` of the last frame that could be looked at.
        used, skipped, seconds: Frames of the last catching up, and what it took.
    """

    def __init__(
        self, run: ActiveGoal, tracker: Tracker, feed: FrameBuffer, frame: Frame, masks: Mapping[int, Mask]
    ) -> None:
        """Say what is to be followed; `ground` begins with it."""
        self.run = run
        self.feed = feed
        self.camera = frame.camera
        self.things = [
            TrackedObject(track_id, frame.stamp_ns, frame.stamp_ns, mask) for track_id, mask in masks.items()
        ]
        self.header = frame.header
        self.size = (frame.rgb.shape[0], frame.rgb.shape[1])
        self.rgb: NDArray[np.uint8] | None = None
        self.seen_at = time.monotonic()
        self.used = self.skipped = 0
        self.seconds = 0.0
        self._tracker = tracker

    @property
    def lost(self) -> list[TrackedObject]:
        """Those that are not seen."""
        return [thing for thing in self.things if thing.lost_since is not None]

    def ground(self, frame: Frame, masks: Mapping[int, Mask], footage: FrameBuffer) -> None:
        """Begin, or begin again, where the agent has found them, and catch up. Blocks for `catch_up_seconds`.

        Args:
            frame: The agent's.
            masks: (H, W) bool of each thing, by its track id.
            footage: What the camera saw since.
        """
        started = time.monotonic()
        if self.size != frame.rgb.shape[:2]:
            for thing in self.things:
                thing.give_up("the camera's images have another size")
        self.size, self.header = (frame.rgb.shape[0], frame.rgb.shape[1]), frame.header
        before = {thing.track_id: thing for thing in self.things}
        grounded = {
            track_id: TrackedObject(track_id, frame.stamp_ns, frame.stamp_ns, mask) for track_id, mask in masks.items()
        }
        self.things = [*(before | grounded).values()]
        begun = []
        for thing in grounded.values():
            if thing.track_id in before:
                thing.told = before[thing.track_id].told
                before[thing.track_id].give_up("")
            try:
                thing.track = self._tracker.start(frame.rgb, thing.mask, frame.stamp_ns)
            except (RunFailed, ValueError) as error:
                thing.lose(f"it can't be followed: {describe(error)}")
            else:
                begun.append(thing)
        try:
            self._catch_up(begun, footage)
        except _Broken as error:
            for thing in begun:
                thing.give_up(str(error))
        if footage is not self.feed:
            self.feed.take()  # what came meanwhile is older than what was caught up with, not a clock that went back
        self.seen_at = time.monotonic()
        self.seconds = self.seen_at - started

    def step(self) -> bool:
        """Look for all of them in the newest image that has come; False if none has. Blocks while it computes."""
        shots = self.feed.take()
        if not shots:
            return False
        now = time.monotonic()
        followed = [thing for thing in self.things if thing.track is not None]
        if not followed:
            self.seen_at, self.header, self.rgb = now, shots[-1][1].header, None
            return True
        try:
            newest = self._forward(shots, max(thing.stamp_ns for thing in followed))[-1:]
            if not newest:
                return False
            stamp, self.rgb = _Reel(newest, self.size)[0]
        except _Unreadable:
            return False
        except _Broken as error:
            for thing in followed:
                thing.give_up(str(error))
            self.seen_at, self.header, self.rgb = now, shots[-1][1].header, None
            return True
        self.seen_at, self.header = now, newest[0][1].header
        for thing in followed:
            if stamp > thing.stamp_ns:
                self._advance(thing, [(stamp, self.rgb)], 0.0)
        return True

    def close(self) -> None:
        """Free what the tracks hold."""
        for thing in self.things:
            if thing.track is not None:
                thing.track.close()

    def recognised(self, masks: Sequence[Mask], then: Mapping[int, Mask]) -> list[int]:
        """Which of those that are lost were found again: a track id for each mask, -1 for what is none of them.

        Args:
            masks: (H, W) bool, what the agent found when it looked again.
            then: Where those were that were not lost then, by track id.
        """
        ids = [-1] * len(masks)
        lost = {thing.track_id: _centre(thing.mask) for thing in self.lost}
        new = [
            number
            for number, mask in enumerate(masks)
            if mask.any() and not any(mask.shape == other.shape and iou(mask, other) > SAME for other in then.values())
        ]
        distances = sorted(
            (float(np.linalg.norm(_centre(masks[number]) - centre)), number, track_id)
            for number in new
            for track_id, centre in lost.items()
        )
        for _, number, track_id in distances:
            if ids[number] == -1 and track_id not in ids:
                ids[number] = track_id
        return ids

    def _catch_up(self, things: Sequence[TrackedObject], footage: FrameBuffer) -> None:
        self.used = self.skipped = 0
        left = self.run.parameters.catch_up_seconds
        for number in range(ROUNDS):
            shots = self._forward(footage.take(), max((thing.stamp_ns for thing in things), default=0))
            if not shots or not things:
                return
            share = left if number == ROUNDS - 1 else left / 2
            for thing in things:
                self._follow(thing, shots, share / len(things))
            self.header = shots[-1][1].header
            left -= share
            if len(shots) == 1:
                return

    def _follow(self, thing: TrackedObject, shots: Sequence[StampedImage], seconds: float) -> None:
        """Through buffered images to the newest one; those that can't be read are passed over."""
        while shots and thing.track is not None:
            try:
                caught = self._advance(thing, _Reel(shots, self.size), seconds)
            except _Unreadable as error:
                shots = [shot for shot in shots if shot[0] > error.stamp]
                continue
            if caught is not None:
                self.used, self.skipped = self.used + caught.used, self.skipped + caught.skipped
            return

    @staticmethod
    def _advance(
        thing: TrackedObject, frames: Sequence[tuple[int, NDArray[np.uint8]]], seconds: float
    ) -> Caught | None:
        if thing.track is None:
            return None
        try:
            caught = catch_up(thing.track, frames, seconds)
        except RunFailed as error:  # out of memory: the next frame may do
            thing.lose(error.message)
            return None
        except ValueError as error:
            thing.give_up(describe(error))
            return None
        thing.saw(caught.newest)
        return caught

    @staticmethod
    def _forward(shots: Iterable[StampedImage], last: int) -> list[StampedImage]:
        """The images that are newer than the last one; what came late or twice is passed over.

        Raises:
            _Broken: Time went back.
        """
        newer = []
        for stamp, message in shots:
            if stamp < last - BACK_NS:
                raise _Broken(f"the camera's stamps went back by {(last - stamp) / 1e9:.3f} s")
            if stamp > last:
                last = stamp
                newer.append((stamp, message))
        return newer


def _centre(mask: Mask) -> NDArray[np.float64]:
    """(x, y) of the middle of a mask's pixels."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])
