"""`TrackGroup`: the objects that one goal has found, tracked from frame to frame. For the thread of `Tracking`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.mask import Mask, iou
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.camera.frame_buffer import FrameBuffer, StampedImage
from rsagent_ros.ros.camera.images import to_rgb
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.ros.tracking.tracked_object import TrackedObject
from rsagent_ros.trackers import Caught, Tracker, catch_up

CLOCK_RESET_NS = 1_000_000_000
"""A stamp this much older than the last one is from another run of the clock; a younger one is of a late image."""

ROUNDS = 3
"""Rounds of catching up: what arrives during one is caught up with in the next, in less time."""

SAME_IOU = 0.5
"""IoU from which on a mask that the agent found again is an object that is tracked already."""


class _Unreadable(Exception):
    """Image that can't be converted; it is skipped."""

    def __init__(self, stamp: int) -> None:
        self.stamp = stamp


class _TracksBroken(Exception):
    """Reason why no track can go on from here, as a sentence."""


class _LazyFrames(Sequence[tuple[int, NDArray[np.uint8]]]):
    """Stamped messages as stamped RGB, converted on access: `catch_up` leaves most of them out."""

    def __init__(self, images: Sequence[StampedImage], size: tuple[int, int]) -> None:
        self._images = images
        self._size = size

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[int, NDArray[np.uint8]]:  # type: ignore[override]  # no slices
        stamp, message = self._images[index]
        try:
            rgb = to_rgb(message)
        except RunFailed as error:
            raise _Unreadable(stamp) from error
        if rgb.shape[:2] != self._size:
            height, width = self._size
            raise _TracksBroken(
                f"the camera's images changed from {width} x {height} to {rgb.shape[1]} x {rgb.shape[0]}"
            )
        return stamp, rgb


class TrackGroup:
    """Objects of one goal.

    Attributes:
        goal: The goal.
        buffer: Images of the camera; `step` empties it.
        camera: Name of that camera.
        objects: In the order of the result's instances.
        header: Of the last frame.
        size: (height, width) of the last frame.
        rgb: (H, W, 3) uint8 of the last frame; None where it could not be used.
        last_frame_at: `time.monotonic()` of the last frame that could be used.
        used: Frames of the last catching up that the tracks took a step to.
        skipped: Frames of the last catching up that were left out.
        seconds: Duration of the last catching up.
    """

    def __init__(
        self, goal: ActiveGoal, tracker: Tracker, buffer: FrameBuffer, frame: Frame, masks: Mapping[int, Mask]
    ) -> None:
        """Note what to track; `ground` starts the tracks."""
        self.goal = goal
        self.buffer = buffer
        self.camera = frame.camera
        self.objects = _objects(frame, masks)
        self.header = frame.header
        self.size = (frame.rgb.shape[0], frame.rgb.shape[1])
        self.rgb: NDArray[np.uint8] | None = None
        self.last_frame_at = time.monotonic()
        self.used = self.skipped = 0
        self.seconds = 0.0
        self._tracker = tracker

    @property
    def lost(self) -> list[TrackedObject]:
        """Objects that are not seen."""
        return [one for one in self.objects if one.lost]

    def ground(self, frame: Frame, masks: Mapping[int, Mask], buffer: FrameBuffer) -> None:
        """Start tracks, or start them again, where the agent found the objects, and catch up.

        Blocks for about `catch_up_seconds`.

        Args:
            frame: The one that the agent looked at.
            masks: (H, W) bool of each object, by its track id.
            buffer: Images that came since.
        """
        started = time.monotonic()
        if self.size != frame.rgb.shape[:2]:
            self._end_tracks(self.objects, "the camera's images have another size")
        self.size, self.header, self.rgb = (frame.rgb.shape[0], frame.rgb.shape[1]), frame.header, frame.rgb
        before = {one.track_id: one for one in self.objects}
        grounded = {one.track_id: one for one in _objects(frame, masks)}
        self.objects = [*(before | grounded).values()]
        begun = []
        for one in grounded.values():
            if one.track_id in before:
                one.published_state = before[one.track_id].published_state
                before[one.track_id].end_track("")
            try:
                one.track = self._tracker.start(frame.rgb, one.mask, frame.stamp_ns)
            except (RunFailed, ValueError) as error:
                one.mark_lost(f"it can't be tracked: {describe(error)}")
            else:
                begun.append(one)
        try:
            self._catch_up(begun, buffer)
        except _TracksBroken as error:
            self._end_tracks(begun, str(error))
        if buffer is not self.buffer:
            self.buffer.take()  # these are older than what was caught up with: no clock that went back
        self.last_frame_at = time.monotonic()
        self.seconds = self.last_frame_at - started

    def step(self) -> bool:
        """Search all objects in the newest image; False if none has come. Blocks while it computes."""
        images = self.buffer.take()
        if not images:
            return False
        now = time.monotonic()
        tracked = [one for one in self.objects if one.track is not None]
        newest = images[-1]
        try:
            if tracked:
                newer = self._newer(images, max(one.stamp_ns for one in tracked))
                if not newer:
                    return False
                newest = newer[-1]
                stamp, self.rgb = _LazyFrames([newest], self.size)[0]
                for one in tracked:
                    if stamp > one.stamp_ns:
                        self._advance(one, [(stamp, self.rgb)], 0.0)
            else:
                self.rgb = None
        except _Unreadable:
            return False
        except _TracksBroken as error:
            self._end_tracks(tracked, str(error))
            newest = images[-1]
        self.last_frame_at, self.header = now, newest[1].header
        return True

    def close(self) -> None:
        """Free what the tracks hold."""
        for one in self.objects:
            if one.track is not None:
                one.track.close()

    def match_lost(self, masks: Sequence[Mask], seen: Mapping[int, Mask]) -> list[int]:
        """Assign masks that the agent found again to lost objects, nearest first.

        Args:
            masks: (H, W) bool, of the agent's result.
            seen: Masks of the objects that were not lost when the agent looked, by track id.

        Returns:
            A track id for each mask; -1 for one of an object that was not lost, or of none.
        """
        ids = [-1] * len(masks)
        lost = {one.track_id: _centre(one.mask) for one in self.lost}
        new = [
            number
            for number, mask in enumerate(masks)
            if mask.any()
            and not any(mask.shape == other.shape and iou(mask, other) > SAME_IOU for other in seen.values())
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

    def _end_tracks(self, objects: Iterable[TrackedObject], reason: str) -> None:
        self.rgb = None
        for one in objects:
            one.end_track(reason)

    def _catch_up(self, objects: Sequence[TrackedObject], buffer: FrameBuffer) -> None:
        self.used = self.skipped = 0
        left = self.goal.parameters.catch_up_seconds
        for number in range(ROUNDS):
            images = self._newer(buffer.take(), max((one.stamp_ns for one in objects), default=0))
            if not images or not objects:
                return
            share = left if number == ROUNDS - 1 else left / 2
            for one in objects:
                self._follow(one, images, share / len(objects))
            self.header, self.rgb = images[-1][1].header, self._readable(images[-1])
            left -= share
            if len(images) == 1:
                return

    def _readable(self, image: StampedImage) -> NDArray[np.uint8] | None:
        try:
            return _LazyFrames([image], self.size)[0][1]
        except _Unreadable:
            return None

    def _follow(self, one: TrackedObject, images: Sequence[StampedImage], seconds: float) -> None:
        """Track an object through buffered images to the newest one; unreadable ones are skipped."""
        while images and one.track is not None:
            try:
                caught = self._advance(one, _LazyFrames(images, self.size), seconds)
            except _Unreadable as error:
                images = [image for image in images if image[0] > error.stamp]
                continue
            if caught is not None:
                self.used, self.skipped = self.used + caught.used, self.skipped + caught.skipped
            return

    @staticmethod
    def _advance(one: TrackedObject, frames: Sequence[tuple[int, NDArray[np.uint8]]], seconds: float) -> Caught | None:
        if one.track is None:
            return None
        try:
            caught = catch_up(one.track, frames, seconds)
        except RunFailed as error:  # out of memory: the next frame may do
            one.mark_lost(error.message)
            return None
        except ValueError as error:
            one.end_track(describe(error))
            return None
        one.update(caught.newest)
        return caught

    @staticmethod
    def _newer(images: Iterable[StampedImage], last: int) -> list[StampedImage]:
        """Images newer than the last stamp; late and repeated ones are dropped.

        Raises:
            _TracksBroken: Time went back.
        """
        newer = []
        for stamp, message in images:
            if stamp < last - CLOCK_RESET_NS:
                raise _TracksBroken(f"the camera's stamps went back by {(last - stamp) / 1e9:.3f} s")
            if stamp > last:
                last = stamp
                newer.append((stamp, message))
        return newer


def _objects(frame: Frame, masks: Mapping[int, Mask]) -> list[TrackedObject]:
    return [TrackedObject(track_id, frame.stamp_ns, frame.stamp_ns, mask) for track_id, mask in masks.items()]


def _centre(mask: Mask) -> NDArray[np.float64]:
    """(2,) mean x and y of a mask's pixels."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])
