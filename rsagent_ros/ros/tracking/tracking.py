"""Keeps found masks alive: on the newest frame, at camera rate, until they are stopped, lost or replaced.

A thread of its own does all that takes time. Goals hand over what they found (`begin`) and go on; the newest frame wins
where steps take longer than the camera's period.

- One goal's things are followed at a time: those of the newest goal that tracks and was FOUND. The ones before are
  STOPPED when it begins, not earlier.
- A thing that is LOST is looked for in every frame. It is STOPPED after `track_lost_timeout`. Where its goal says
  `reground`, the agent looks again after `reground_after`; see regrounding.py.
- Without images for `max_frame_age`, everything is LOST. So it is when images change their size or stamps go back, and
  then only the agent can find it again: the track has ended, and the log says why.
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

from rsagent_ros.agent.errors import describe
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.msg import TrackedMask as TrackedMaskMessage
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.camera.frame_buffer import FrameBuffer
from rsagent_ros.ros.conversions import tracked_message
from rsagent_ros.ros.goals.active_goal import ActiveGoal, GoalRequest
from rsagent_ros.ros.goals.publishers import Publishers
from rsagent_ros.ros.poses.poses import View
from rsagent_ros.ros.tracking.regrounding import Regrounding
from rsagent_ros.ros.tracking.track_group import TrackedObject, TrackGroup
from rsagent_ros.trackers import Tracker

log = logging.getLogger(__name__)

TRACKING = "tracking"
"""Name of the thread."""

TRACK_IDS = itertools.count(1)
"""Numbers of tracks, never used twice while the process runs."""

POLL = 0.05
"""Seconds between looks at what no image tells: silence, time-outs, a goal that has ended."""

JOIN = 1.0
"""Seconds that closing waits for a step; one that takes longer is left behind."""


@dataclass(frozen=True, eq=False)
class _Grounding:
    """Where an agent has found things, on its way to the thread.

    Attributes:
        pursuit: Of these things.
        again: It goes on already; the agent has looked for what it had lost.
        frame: The agent's.
        masks: (H, W) bool of each thing, by its track id.
        footage: What the camera saw since.
    """

    pursuit: TrackGroup
    again: bool
    frame: Frame
    masks: Mapping[int, Mask]
    footage: FrameBuffer


class Tracking:
    """Follows what goals have found, from one activation of the node to its end."""

    def __init__(
        self,
        tracker: Tracker,
        outputs: Publishers,
        look: Callable[[GoalRequest], ActiveGoal | None],
        logger: RcutilsLogger,
    ) -> None:
        """Start the thread; it sleeps while there is nothing to follow.

        Args:
            tracker: Of all tracks.
            outputs: Where masks go.
            look: Lets the agent look again; see Regrounding.
            logger: Of the node.
        """
        self._tracker = tracker
        self._outputs = outputs
        self._look = look
        self._logger = logger
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closed = False
        self._asked: list[_Grounding | str] = []
        self._taken: _Grounding | None = None
        """Taken from `_asked`, and not yet the pursuit."""
        self._pursuit: TrackGroup | None = None
        self._looks = Regrounding(look)
        self._steps: deque[float] = deque(maxlen=30)
        self._thread = threading.Thread(target=self._serve, name=TRACKING, daemon=True)
        self._thread.start()

    def footage(self, run: ActiveGoal) -> FrameBuffer | None:
        """What gathers images for a goal while its agent thinks; None for one that does not track."""
        return FrameBuffer(run.parameters.track_megabytes) if run.request.track else None

    def begin(
        self, run: ActiveGoal, frame: Frame | None, result: Result, footage: FrameBuffer | None
    ) -> tuple[int, ...]:
        """Follow what a goal found, if it is to be followed. Returns at once.

        Args:
            run: The goal.
            frame: It was found on.
            result: Its ending.
            footage: What has gathered since that frame; let go of where nothing is followed.

        Returns:
            A track id for each of the first instances of the result, -1 for one that is not followed.
        """
        if footage is None:
            return ()
        ids: list[int] = []
        if frame is not None and result.outcome is Outcome.FOUND:
            masks = [instance.mask for instance in result.instances][: run.parameters.track_limit]
            with self._lock:
                ids = [] if self._closed else self._numbers(run, masks)
                known = {track_id: mask for track_id, mask in zip(ids, masks, strict=False) if track_id >= 0}
                if known:
                    footage.on_news = self._news.set
                    again = run.request.source == "track"
                    pursuit = self._pursuit if again else None
                    pursuit = pursuit or TrackGroup(run, self._tracker, footage, frame, known)
                    self._asked.append(_Grounding(pursuit, again, frame, known, footage))
                    self._news.set()
        if not any(track_id >= 0 for track_id in ids):
            footage.leave()
        return tuple(ids)

    def stop(self, goal_id: str) -> None:
        """Follow the things of this goal no longer; of any goal, where it is empty. Returns at once."""
        with self._lock:
            self._asked.append(goal_id)
        self._news.set()

    def close(self) -> None:
        """Stop everything, for good. Blocks until the step under way is done, but no longer than JOIN."""
        with self._lock:
            pursuit, self._pursuit = self._pursuit, None
            asked = [one for one in [self._taken, *self._asked] if isinstance(one, _Grounding)]
            begun = [one.pursuit for one in asked if not one.again]
            for ending in [*([] if pursuit is None else [pursuit]), *begun]:
                for thing in list(ending.things):
                    thing.reason = "the node was deactivated or stopped"
                    self._publish(ending, thing, self._message(ending, thing, TrackedMaskMessage.STOPPED))
            self._closed = True
        self._news.set()
        self._thread.join(JOIN)
        if pursuit is not None and not self._thread.is_alive():
            pursuit.close()

    def facts(self) -> dict[str, object]:
        """What diagnostics tell about it."""
        pursuit, steps, now = self._pursuit, list(self._steps), time.monotonic()
        things, lost = ([], []) if pursuit is None else (pursuit.things, pursuit.lost)
        facts: dict[str, object] = {"tracker": self._tracker.name, "followed": len(things), "lost": len(lost)}
        if pursuit is None:
            return facts
        rate = (len(steps) - 1) / (steps[-1] - steps[0]) if len(steps) > 1 and now - steps[-1] < 1.0 else 0.0
        return facts | {
            "goal": pursuit.run.request.id,
            "frames per second": f"{rate:.1f}",
            "seconds since the last frame": f"{now - pursuit.seen_at:.2f}",
            "last catching up": f"{pursuit.used} frames, {pursuit.skipped} left out, {pursuit.seconds:.2f} s",
            "looks of the agent": self._looks.count,
        }

    def _numbers(self, run: ActiveGoal, masks: list[Mask]) -> list[int]:
        """A track id for each mask: a new one, or that of what the agent looked for again; -1 for what is neither."""
        if run.request.source != "track":
            return [next(TRACK_IDS) for _ in masks]
        seen = self._looks.seen_then(run.request.id)
        return [] if self._pursuit is None or seen is None else self._pursuit.recognised(masks, seen)

    # In the thread ---------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closed:
            self._news.wait(None if self._pursuit is None else POLL)
            self._news.clear()
            try:
                self._do_what_was_asked()
                pursuit = self._pursuit
                if pursuit is not None:
                    self._follow(pursuit)
                    self._look_after(pursuit)
            except Exception as error:  # whatever a tracker does, the next goal's things are followed
                self._logger.error(f"tracking failed: {describe(error)}; please report this")
                log.debug("tracking failed", exc_info=True)
                self._end("tracking failed")

    def _do_what_was_asked(self) -> None:
        while True:
            with self._lock:
                if not self._asked or self._closed:
                    return
                asked = self._asked.pop(0)
                self._taken = asked if isinstance(asked, _Grounding) else None
            if isinstance(asked, _Grounding):
                self._ground(asked)
            elif self._pursuit is not None and asked in ("", self._pursuit.run.request.id):
                self._end("somebody asked for it")

    def _ground(self, grounding: _Grounding) -> None:
        """Begin at what a goal found; where the agent looked again, go on there."""
        pursuit, footage = grounding.pursuit, grounding.footage
        if not grounding.again:
            self._end(f"goal {pursuit.run.request.id!r} took its place")
        with self._lock:
            self._taken = None
            if not grounding.again and not self._closed:
                self._pursuit, self._looks = pursuit, Regrounding(self._look)
            stopped = pursuit is not self._pursuit
        if stopped:
            footage.leave()
            return
        try:
            pursuit.ground(grounding.frame, grounding.masks, footage)
        finally:
            if grounding.again:
                footage.leave()
        self._tell(pursuit)
        if not pursuit.feed.empty:
            self._news.set()

    def _follow(self, pursuit: TrackGroup) -> None:
        """Look at the newest image, or notice that there is none."""
        patience = pursuit.run.parameters.max_frame_age
        if pursuit.step():
            self._steps.append(time.monotonic())
            self._tell(pursuit)
        elif time.monotonic() - pursuit.seen_at > patience and len(pursuit.lost) < len(pursuit.things):
            for thing in pursuit.things:
                thing.lose(f"no image has come for {patience:g} s")
            self._tell(pursuit)

    def _look_after(self, pursuit: TrackGroup) -> None:
        """Let the agent look for what is lost, or give it up."""
        if self._closed:
            return
        now, parameters, looks = time.monotonic(), pursuit.run.parameters, self._looks
        if looks.under_way:
            if looks.ended(parameters, now):
                self._news.set()  # what it has found comes first
            return
        lost = {thing.track_id: now - (thing.lost_since or now) for thing in pursuit.lost}
        given_up = [thing for thing in pursuit.things if lost.get(thing.track_id, 0.0) > parameters.track_lost_timeout]
        for thing in given_up:
            thing.give_up(f"it was lost for more than {parameters.track_lost_timeout:g} s")
            self._stopped(pursuit, thing)
        pursuit.things = [thing for thing in pursuit.things if thing not in given_up]
        if not pursuit.things:
            self._end("nothing is left")
        elif max(lost.values(), default=0.0) > parameters.reground_after:
            looks.begin(pursuit, now)

    def _end(self, why: str) -> None:
        """Stop all that is followed."""
        with self._lock:
            pursuit, self._pursuit = self._pursuit, None
        if pursuit is None:
            return
        self._looks.stop(why)
        for thing in pursuit.things:
            thing.reason = why
            self._stopped(pursuit, thing)
        pursuit.close()
        pursuit.feed.leave()

    # What is published -----------------------------------------------------------------------------------------------

    def _tell(self, pursuit: TrackGroup) -> None:
        """Publish where everything is in the last image."""
        view: View | None = None
        if self._outputs.tracks_wanted:
            newest = max(thing.stamp_ns for thing in pursuit.things)
            camera = pursuit.feed.camera
            depth = (None, None) if camera is None else camera.depth_of(newest, pursuit.size)
            view = View(pursuit.header, pursuit.rgb, *depth)
        messages, places = [], []
        for thing in pursuit.things:
            seen = thing.lost_since is None
            message = self._message(pursuit, thing, TrackedMaskMessage.TRACKING if seen else TrackedMaskMessage.LOST)
            place = self._outputs.places.fill(message, thing.mask, view) if seen and view is not None else None
            messages.append((thing, message))
            places += [] if place is None else [place]
        with self._lock:
            for thing, message in messages:
                self._publish(pursuit, thing, message)
        if view is not None and view.rgb is not None and not self._closed:
            self._outputs.places.publish(places, pursuit.header)

    def _stopped(self, pursuit: TrackGroup, thing: TrackedObject) -> None:
        message = self._message(pursuit, thing, TrackedMaskMessage.STOPPED)
        with self._lock:
            self._publish(pursuit, thing, message)

    @staticmethod
    def _message(pursuit: TrackGroup, thing: TrackedObject, state: int) -> TrackedMaskMessage:
        seen = state == TrackedMaskMessage.TRACKING
        return tracked_message(
            thing.mask if seen else np.zeros(pursuit.size, np.bool_),
            pursuit.header,
            goal_id=pursuit.run.request.id,
            track_id=thing.track_id,
            state=state,
            age=max(0, thing.stamp_ns - thing.grounded_ns) / 1e9,
            score=thing.score if seen else 0.0,
        )

    def _publish(self, pursuit: TrackGroup, thing: TrackedObject, message: TrackedMaskMessage) -> None:
        """Send a message, and log where it says something new; nothing after `close`. The lock is held."""
        if self._closed:
            return
        self._outputs.track(message)
        if thing.told != message.state:
            words = {TrackedMaskMessage.LOST: "is lost", TrackedMaskMessage.STOPPED: "is stopped"}
            again = "is followed" if thing.told == 0 else "is found again"
            why = f": {thing.reason}" if thing.reason else ""
            name = f"track {thing.track_id} of goal {pursuit.run.request.id!r}"
            self._logger.info(f"{name} {words.get(message.state, again)}{why}")
            thing.told = message.state
