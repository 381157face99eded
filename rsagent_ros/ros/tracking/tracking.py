"""Tracking of found objects on the newest frame, at camera rate, until they are stopped, lost for good, or replaced.

One thread does all that takes time. A goal hands over what it found (`begin`) and goes on; where a step takes longer
than the camera's period, the newest frame is used.

- One group is tracked at a time: the objects of the newest goal that tracks and was FOUND. The group before is STOPPED
  when that one begins, not earlier.
- A LOST object is searched in every frame, and STOPPED after `track_lost_timeout`. With `reground`, the agent looks
  again after `reground_after`; see regrounding.py.
- Without images for `max_frame_age`, all objects are LOST. So they are when images change their size or stamps go back;
  then the tracks have ended, and only the agent can find the objects again. The log says why.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from rclpy.impl.rcutils_logger import RcutilsLogger

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.msg import TrackedMask as TrackedMaskMessage
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.camera.frame_buffer import FrameBuffer
from rsagent_ros.ros.conversions import tracked_message
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.ros.goals.goal_request import GoalRequest
from rsagent_ros.ros.goals.publishers import Publishers
from rsagent_ros.ros.tracking.regrounding import Regrounding
from rsagent_ros.ros.tracking.track_group import TrackGroup
from rsagent_ros.ros.tracking.tracked_object import TrackedObject
from rsagent_ros.trackers import Tracker

log = logging.getLogger(__name__)

TRACKING = "tracking"
"""Name of the thread."""

TRACK_IDS = itertools.count(1)
"""Track ids, never used twice while the process runs."""

POLL = 0.05
"""Seconds between checks of what no image tells: silence, time-outs, a look that has ended."""

JOIN = 1.0
"""Seconds that `close` waits for the step under way; a longer one is left behind."""


@dataclass(frozen=True, eq=False)
class _Grounding:
    """Masks that the agent found, on their way to the thread.

    Attributes:
        group: Of these objects.
        again: The group is tracked already, and the agent looked for what it had lost.
        frame: The one that the agent looked at.
        masks: (H, W) bool of each object, by its track id.
        buffer: Images that came since.
    """

    group: TrackGroup
    again: bool
    frame: Frame
    masks: Mapping[int, Mask]
    buffer: FrameBuffer


class Tracking:
    """Tracking from one activation of the node to its end. Thread-safe."""

    def __init__(
        self,
        tracker: Tracker,
        publishers: Publishers,
        submit: Callable[[GoalRequest], ActiveGoal | None],
        logger: RcutilsLogger,
    ) -> None:
        """Start the thread; it sleeps while there is nothing to track.

        Args:
            tracker: Of all tracks.
            publishers: Of masks and poses.
            submit: Submits the goals that look again; see Regrounding.
            logger: Of the node.
        """
        self._tracker = tracker
        self._publishers = publishers
        self._submit = submit
        self._logger = logger
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closed = False
        self._commands: list[_Grounding | str] = []
        """Groundings, and ids of goals to stop, in the order they came."""
        self._taken: _Grounding | None = None
        """Taken from `_commands`, and not yet the group."""
        self._group: TrackGroup | None = None
        self._regrounding = Regrounding(submit)
        self._steps: deque[float] = deque(maxlen=30)
        self._thread = threading.Thread(target=self._serve, name=TRACKING, daemon=True)
        self._thread.start()

    def frame_buffer(self, goal: ActiveGoal) -> FrameBuffer | None:
        """Buffer for the images that come while the goal's agent thinks; None for a goal that does not track."""
        return FrameBuffer(goal.parameters.track_megabytes) if goal.request.track else None

    def begin(
        self, goal: ActiveGoal, frame: Frame | None, result: Result, buffer: FrameBuffer | None
    ) -> tuple[int, ...]:
        """Track what a goal found, if it asked for that. Returns at once.

        Args:
            goal: The goal.
            frame: The one it was found on.
            result: How the goal ended.
            buffer: Images that came since that frame; left where nothing is tracked.

        Returns:
            A track id for each of the first instances of the result; -1 for one that is not tracked.
        """
        if buffer is None:
            return ()
        ids: list[int] = []
        if frame is not None and result.outcome is Outcome.FOUND:
            masks = [instance.mask for instance in result.instances][: goal.parameters.track_limit]
            with self._lock:
                ids = [] if self._closed else self._track_ids(goal, masks)
                tracked = {track_id: mask for track_id, mask in zip(ids, masks, strict=False) if track_id >= 0}
                if tracked:
                    buffer.on_news = self._news.set
                    again = goal.request.source == "track"
                    group = self._group if again else None
                    group = group or TrackGroup(goal, self._tracker, buffer, frame, tracked)
                    self._commands.append(_Grounding(group, again, frame, tracked, buffer))
                    self._news.set()
        if not any(track_id >= 0 for track_id in ids):
            buffer.leave()
        return tuple(ids)

    def stop(self, goal_id: str) -> None:
        """Stop tracking the objects of this goal; of any goal, if empty. Returns at once."""
        with self._lock:
            self._commands.append(goal_id)
        self._news.set()

    def close(self) -> None:
        """Stop everything, for good. Blocks until the step under way is done, but no longer than JOIN."""
        with self._lock:
            group, self._group = self._group, None
            waiting = [one for one in [self._taken, *self._commands] if isinstance(one, _Grounding)]
            begun = [one.group for one in waiting if not one.again]
            for ending in [*([] if group is None else [group]), *begun]:
                for one in list(ending.objects):
                    one.reason = "the node was deactivated or stopped"
                    self._publish(ending, one, self._message(ending, one, TrackedMaskMessage.STOPPED))
            self._closed = True
        self._news.set()
        self._thread.join(JOIN)
        if group is not None and not self._thread.is_alive():
            group.close()

    def facts(self) -> dict[str, object]:
        """State for diagnostics."""
        group, steps, now = self._group, list(self._steps), time.monotonic()
        objects, lost = ([], []) if group is None else (group.objects, group.lost)
        facts: dict[str, object] = {"tracker": self._tracker.name, "followed": len(objects), "lost": len(lost)}
        if group is None:
            return facts
        rate = (len(steps) - 1) / (steps[-1] - steps[0]) if len(steps) > 1 and now - steps[-1] < 1.0 else 0.0
        return facts | {
            "goal": group.goal.request.id,
            "frames per second": f"{rate:.1f}",
            "seconds since the last frame": f"{now - group.last_frame_at:.2f}",
            "last catching up": f"{group.used} frames, {group.skipped} left out, {group.seconds:.2f} s",
            "looks of the agent": self._regrounding.count,
        }

    def _track_ids(self, goal: ActiveGoal, masks: list[Mask]) -> list[int]:
        """A track id for each mask: a new one, or that of a lost object that was found again; -1 for neither."""
        if goal.request.source != "track":
            return [next(TRACK_IDS) for _ in masks]
        seen = self._regrounding.seen_during(goal.request.id)
        return [] if self._group is None or seen is None else self._group.match_lost(masks, seen)

    # In the thread ---------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closed:
            self._news.wait(None if self._group is None else POLL)
            self._news.clear()
            try:
                self._run_commands()
                group = self._group
                if group is not None:
                    self._follow(group)
                    self._handle_lost(group)
            except Exception:  # whatever a tracker does, the next goal's objects are tracked
                log.exception("tracking failed; please report this")
                self._end("tracking failed")

    def _run_commands(self) -> None:
        while True:
            with self._lock:
                if not self._commands or self._closed:
                    return
                command = self._commands.pop(0)
                self._taken = command if isinstance(command, _Grounding) else None
            if isinstance(command, _Grounding):
                self._ground(command)
            elif self._group is not None and command in ("", self._group.goal.request.id):
                self._end("stopped on request")

    def _ground(self, grounding: _Grounding) -> None:
        """Start at what a goal found; after a look of the agent, go on there."""
        group, buffer = grounding.group, grounding.buffer
        if not grounding.again:
            self._end(f"goal {group.goal.request.id!r} replaced it")
        with self._lock:
            self._taken = None
            if not grounding.again and not self._closed:
                self._group, self._regrounding = group, Regrounding(self._submit)
            stopped = group is not self._group
        if stopped:
            buffer.leave()
            return
        try:
            group.ground(grounding.frame, grounding.masks, buffer)
        finally:
            if grounding.again:
                buffer.leave()
        self._publish_all(group)
        if not group.buffer.empty:
            self._news.set()

    def _follow(self, group: TrackGroup) -> None:
        """Step to the newest image, or mark all as lost where none has come for too long."""
        max_age = group.goal.parameters.max_frame_age
        if group.step():
            self._steps.append(time.monotonic())
            self._publish_all(group)
        elif time.monotonic() - group.last_frame_at > max_age and len(group.lost) < len(group.objects):
            for one in group.objects:
                one.mark_lost(f"no image has come for {max_age:g} s")
            self._publish_all(group)

    def _handle_lost(self, group: TrackGroup) -> None:
        """Let the agent look for lost objects, or stop them."""
        if self._closed:
            return
        now, parameters, regrounding = time.monotonic(), group.goal.parameters, self._regrounding
        if regrounding.running:
            if regrounding.finish(parameters, now):
                self._news.set()  # what it has found comes first
            return
        lost = {one.track_id: now - (one.lost_since or now) for one in group.lost}
        overdue = [one for one in group.objects if lost.get(one.track_id, 0.0) > parameters.track_lost_timeout]
        for one in overdue:
            one.end_track(f"it was lost for more than {parameters.track_lost_timeout:g} s")
            self._publish_stopped(group, one)
        group.objects = [one for one in group.objects if one not in overdue]
        if not group.objects:
            self._end("nothing is left")
        elif max(lost.values(), default=0.0) > parameters.reground_after:
            regrounding.begin(group, now)

    def _end(self, reason: str) -> None:
        """Stop all objects."""
        with self._lock:
            group, self._group = self._group, None
        if group is None:
            return
        self._regrounding.stop(reason)
        for one in group.objects:
            one.reason = reason
            self._publish_stopped(group, one)
        group.close()
        group.buffer.leave()

    # Publishing ------------------------------------------------------------------------------------------------------

    def _publish_all(self, group: TrackGroup) -> None:
        """Publish all objects as they are in the last frame, with poses where depth is there."""
        frame = self._frame(group) if self._publishers.tracks_wanted else None
        messages, poses = [], []
        for one in group.objects:
            state = TrackedMaskMessage.LOST if one.lost else TrackedMaskMessage.TRACKING
            message = self._message(group, one, state)
            messages.append((one, message))
            pose = None if one.lost or frame is None else self._publishers.poses.fill(message, one.mask, frame)
            poses += [] if pose is None else [pose]
        with self._lock:
            for one, message in messages:
                self._publish(group, one, message)
        if frame is not None and not self._closed:
            self._publishers.poses.publish(poses, group.header)
            self._publishers.track_image(group.goal, [message for _, message in messages], frame)

    @staticmethod
    def _frame(group: TrackGroup) -> Frame | None:
        """The last frame with its calibration and depth; None where it could not be used."""
        if group.rgb is None:
            return None
        newest = max(one.stamp_ns for one in group.objects)
        info, depth = group.buffer.companions(newest, group.size)
        return Frame(group.rgb, group.header, info, depth, newest, group.camera)

    def _publish_stopped(self, group: TrackGroup, one: TrackedObject) -> None:
        message = self._message(group, one, TrackedMaskMessage.STOPPED)
        with self._lock:
            self._publish(group, one, message)

    @staticmethod
    def _message(group: TrackGroup, one: TrackedObject, state: int) -> TrackedMaskMessage:
        seen = state == TrackedMaskMessage.TRACKING
        return tracked_message(
            one.mask if seen else np.zeros(group.size, np.bool_),
            group.header,
            goal_id=group.goal.request.id,
            track_id=one.track_id,
            state=state,
            age=max(0, one.stamp_ns - one.grounded_ns) / 1e9,
            score=one.score if seen else 0.0,
        )

    def _publish(self, group: TrackGroup, one: TrackedObject, message: TrackedMaskMessage) -> None:
        """Send a message, and log a change of state; nothing after `close`. The lock is held."""
        if self._closed:
            return
        self._publishers.track(message)
        if one.published_state == message.state:
            return
        change = {TrackedMaskMessage.LOST: "is lost", TrackedMaskMessage.STOPPED: "stopped"}.get(message.state)
        if change is None:
            change = "found again" if one.published_state else "started"
        reason = f": {one.reason}" if one.reason else ""
        sentence = f"track {one.track_id} of goal {group.goal.request.id!r} {change}{reason}"
        self._logger.info(sentence)
        self._publishers.status.publish(sentence)
        one.published_state = message.state
