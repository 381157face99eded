"""`GoalRunner`: the owner of a goal from its admission to its record.

    begin, admit, queued    by the thread that brings the goal: log it, refuse what can't be done, say that it waits
    run                     by the thread `runner`: frame, episode, a message for each turn, and the end
    end                     by any thread: the end of a goal that never ran

Follow-ups, verdicts and the recorder have a goal before its result is published: an answer to it finds them ready.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.agent.turn import Trace
from rsagent_ros.msg import Verdict as VerdictMessage
from rsagent_ros.ros.camera.camera import Camera
from rsagent_ros.ros.camera.cameras import Cameras
from rsagent_ros.ros.camera.frame import Frame, given_frame
from rsagent_ros.ros.camera.frame_buffer import FrameBuffer
from rsagent_ros.ros.camera.frame_selection import FrameSelectionConfig, wait_for_frame
from rsagent_ros.ros.goals.active_goal import ActiveGoal, defect
from rsagent_ros.ros.goals.episode_runner import EpisodeRunner
from rsagent_ros.ros.goals.follow_ups import FollowUps
from rsagent_ros.ros.goals.goal_log import GoalLog
from rsagent_ros.ros.goals.goal_request import GoalRequest
from rsagent_ros.ros.goals.hints import Hints
from rsagent_ros.ros.goals.progress import Progress
from rsagent_ros.ros.goals.publishers import Publishers
from rsagent_ros.ros.goals.recorder import Recorder
from rsagent_ros.ros.goals.verdicts import EndedGoal, Verdicts
from rsagent_ros.ros.shadow.shadow_comparison import ShadowComparison
from rsagent_ros.ros.tracking.tracking import Tracking

log = logging.getLogger(__name__)

_RANKS = (
    Outcome.FOUND,
    Outcome.AMBIGUOUS,
    Outcome.GAVE_UP,
    Outcome.NOT_IN_VIEW,
    Outcome.FAILED,
    Outcome.CANCELED,
    Outcome.PREEMPTED,
    Outcome.SHUTDOWN,
)
"""Outcomes of several cameras, the one that says most first."""


@dataclass(frozen=True, eq=False)
class _Look:
    """A look through one camera, or the lack of one.

    Attributes:
        result: How it ended.
        trace: Of its episode; None where none began.
        frame: Its image; None where there was none.
        waited: Seconds that the goal waited for images so far.
        camera: Name of the camera, for people.
    """

    result: Result
    trace: Trace | None = None
    frame: Frame | None = None
    waited: float = 0.0
    camera: str = ""


class GoalRunner:
    """Runs goals, one at a time; admission and ends may come from any thread."""

    def __init__(
        self,
        cameras: Cameras,
        publishers: Publishers,
        recorder: Recorder,
        verdicts: Verdicts,
        shadow: ShadowComparison,
        goal_log: GoalLog,
    ) -> None:
        """Prepare: goals can end from now on, and run between `open` and `close`.

        Args:
            cameras: To look through.
            publishers: For turns and results.
            recorder: For records.
            verdicts: For goals that looked at an image.
            shadow: Pauses while there is a goal.
            goal_log: For what happens to goals.
        """
        self._cameras = cameras
        self._publishers = publishers
        self._recorder = recorder
        self._verdicts = verdicts
        self._shadow = shadow
        self._log = goal_log
        self._follow_ups = FollowUps()
        self._hints = Hints()
        self._episodes: EpisodeRunner | None = None
        self._tracking: Tracking | None = None

    def open(self, episodes: EpisodeRunner, tracking: Tracking) -> None:
        """Run goals with these from now on."""
        self._episodes, self._tracking = episodes, tracking

    def close(self) -> None:
        """Let go of models and tracker; no goal runs any more."""
        if self._episodes is not None:
            self._episodes.close()
        self._episodes = self._tracking = None

    def begin(self, goal: ActiveGoal) -> None:
        """Take over a new goal: log it, and pause the shadow comparison. Does not block; `run` or `end` follows."""
        self._log.accepted(goal.request)
        self._shadow.goal_begun()

    def admit(self, request: GoalRequest, active: Sequence[ActiveGoal]) -> None:
        """Refuse a goal that can't be done, before it takes anybody's place. Does not block.

        Args:
            request: The goal.
            active: Goals that run or wait; what they ask back is not known yet.

        Raises:
            RunFailed: INVALID_GOAL, UNKNOWN_CAMERA, FOLLOW_UP_UNKNOWN.
        """
        request.check()
        if request.image is None:
            self._cameras.meant(request.camera)
        if not any(goal.request.id == request.previous_id for goal in active):
            self._follow_ups.before(request.previous_id)

    def queued(self, goal: ActiveGoal) -> None:
        """Tell the goal's client that another goal has to end first. Does not block."""
        self._publishers.progress(goal, Progress.QUEUED)

    def run(self, goal: ActiveGoal) -> None:
        """Run a goal to its end. Blocks; returns soon after the goal's `stop`, whatever the models do.

        Raises:
            RuntimeError: The runner is not open.
        """
        episodes, tracking = self._episodes, self._tracking
        if episodes is None or tracking is None:
            raise RuntimeError("a goal is to run while the node is not active")
        buffer = tracking.frame_buffer(goal)
        try:
            look = self._look_around(goal, episodes, buffer)
        except RunFailed as failure:
            look = _Look(Result(Outcome.FAILED, failure.code, failure.message))
        except Exception as error:  # a goal has to end, whatever is wrong with this package
            log.exception("goal %r failed because of a defect", goal.request.id)
            look = _Look(defect(error))
        try:
            track_ids = tracking.begin(goal, look.frame, look.result, buffer)
            self._end(goal, look, track_ids)
        except Exception as error:  # as above
            log.exception("the result of goal %r could not be published", goal.request.id)
            if goal.answer is None:
                self._end(goal, _Look(defect(error)))

    def end(self, goal: ActiveGoal, result: Result) -> None:
        """End a goal that never ran. Does not block."""
        self._end(goal, _Look(result))

    def judge(self, verdict: VerdictMessage) -> str:
        """Take a verdict about a goal that has ended: checked, logged and recorded. Does not block.

        Returns:
            Why it was refused; empty if it was not.
        """
        try:
            goal = self._verdicts.judge(verdict)
        except ValueError as error:
            self._log.verdict_refused(verdict, str(error))
            return str(error)
        self._recorder.verdict(verdict)
        self._log.judged(verdict, goal)
        return ""

    def stop_tracking(self, goal_id: str) -> None:
        """Stop the tracks of this goal; of any, where it is empty. Does not block."""
        tracking = self._tracking
        if tracking is not None:
            tracking.stop(goal_id)

    def _look_around(self, goal: ActiveGoal, episodes: EpisodeRunner, buffer: FrameBuffer | None) -> _Look:
        """Look through the cameras that are meant until one shows it; what the best of them gave.

        Each gets an equal part of the time that is left, for its frame and for thinking. One that gives no frame is
        passed over where there are others.

        Raises:
            RunFailed: No camera of that name, or nothing to follow up; or none could be looked through: why the first
                could not.
        """
        previous = self._follow_ups.before(goal.request.previous_id)
        cameras = self._cameras.meant(goal.request.camera) if goal.request.image is None else self._cameras.all[:1]
        looks: list[_Look] = []
        failures: list[tuple[str, RunFailed]] = []
        since, waited = goal.started, 0.0
        for number, camera in enumerate(cameras):
            until = time.monotonic() + (goal.deadline - time.monotonic()) / (len(cameras) - number)
            try:
                episodes.wait_for_models(goal, until)
                frame = None if goal.ending is not None else self._frame(goal, camera, until, buffer)
                waited += time.monotonic() - since
                if frame is None:
                    return _Look(_stopped(goal), waited=waited)
                result, trace = episodes.run(goal, frame, previous, until)
                looks.append(_Look(result, trace, frame, waited, camera.name or camera.topic))
            except RunFailed as failure:
                failures.append((camera.name or camera.topic, failure))
                if buffer is not None:
                    buffer.leave()
                continue
            finally:
                since = time.monotonic()
            if goal.ending is not None or looks[-1].result.outcome is Outcome.FOUND:
                return looks[-1]
            if buffer is not None and camera is not cameras[-1]:
                buffer.leave()
        if not looks:
            raise failures[0][1]
        best = min(looks, key=lambda look: _RANKS.index(look.result.outcome))
        missing = [(name, failure.message) for name, failure in failures]
        missing += [(look.camera, look.result.error_msg) for look in looks if look.result.outcome is Outcome.FAILED]
        return replace(best, result=_with_missing(best.result, missing))

    def _frame(self, goal: ActiveGoal, camera: Camera, until: float, buffer: FrameBuffer | None) -> Frame | None:
        """The goal's own image, or one from the camera; None when the goal was stopped meanwhile.

        Raises:
            RunFailed: There is none.
        """
        request, parameters = goal.request, goal.parameters
        if request.image is not None:
            return given_frame(request.image, request.camera_info, request.depth)
        self._publishers.progress(goal, Progress.WAITING_FOR_IMAGE)
        wanted = FrameSelectionConfig(request.stamp, parameters.stamp_tolerance, parameters.max_frame_age)
        until = min(until, time.monotonic() + parameters.frame_timeout)
        return wait_for_frame(camera, wanted, until, goal.wakeup, buffer)

    def _end(self, goal: ActiveGoal, look: _Look, track_ids: Sequence[int] = ()) -> None:
        """Close the goal and publish how it ended. All that may be asked about it then is ready before."""
        goal_id, result, trace, frame = goal.request.id, look.result, look.trace, look.frame
        if trace is not None:
            self._follow_ups.keep(goal_id, trace)
            ended = EndedGoal(goal.request.instruction, result.outcome, (trace.width, trace.height))
            self._verdicts.keep(goal_id, ended)
            if frame is not None:
                self._recorder.goal(goal_id, frame, trace)
        self._publishers.end(
            goal,
            result,
            frame=frame,
            waited=look.waited,
            trace=trace,
            track_ids=track_ids,
            hint=self._hints.give(goal.request, frame, result),
        )
        self._shadow.goal_ended()
        self._log.ended(goal_id, result, time.monotonic() - goal.started)


def _with_missing(result: Result, missing: Sequence[tuple[str, str]]) -> Result:
    """The result of several cameras, some of which were not looked through: names, and why.

    It is partial then, and says which, unless it was found or nothing could be looked through.
    """
    if not missing or result.outcome in (Outcome.FOUND, Outcome.FAILED):
        return result
    sentence = "not looked through: " + "; ".join(f"camera {name!r} ({why})" for name, why in missing)
    reason = result.reason
    if result.outcome is Outcome.NOT_IN_VIEW:
        reason = f"{reason}; {sentence}" if reason else sentence
    error_msg = f"{result.error_msg}; {sentence}" if result.error_msg else sentence
    return replace(result, partial=True, error_msg=error_msg, reason=reason)


def _stopped(goal: ActiveGoal) -> Result:
    """The result of a goal that was stopped before it had an image."""
    if goal.ending is None:
        raise RuntimeError("the goal was not stopped")
    return goal.ending
