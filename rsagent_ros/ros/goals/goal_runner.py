"""One goal from its image to its result: takes the frame, lets the worker drive the episode, publishes each turn."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.turn import Trace
from rsagent_ros.backends import Models
from rsagent_ros.confidence import Calibration, decide
from rsagent_ros.ros.camera.cameras import Cameras
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.camera.frame_buffer import FrameBuffer
from rsagent_ros.ros.camera.frame_selection import frame_for
from rsagent_ros.ros.goals.active_goal import ActiveGoal, defect
from rsagent_ros.ros.goals.follow_ups import FollowUps
from rsagent_ros.ros.goals.hints import Hints
from rsagent_ros.ros.goals.publishers import Publishers
from rsagent_ros.ros.goals.worker import Worker
from rsagent_ros.ros.tracking.tracking import Tracking

log = logging.getLogger(__name__)

DEADLINE_GRACE = 0.1
"""Seconds past the deadline after which a policy is no longer waited for. One that heeds it ends the episode itself."""

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
"""Which of several cameras' outcomes says most."""


@dataclass(frozen=True, eq=False)
class _Looked:
    """What came of a look through a camera: how it ended, and on what frame, waited for so many seconds."""

    result: Result
    trace: Trace | None = None
    frame: Frame | None = None
    waited: float = 0.0


class GoalRunner:
    """Runs goals, one at a time, in the thread of the caller."""

    def __init__(
        self,
        models: Models,
        cameras: Cameras,
        outputs: Publishers,
        worker: Worker,
        tracking: Tracking,
        questions: FollowUps,
        hints: Hints,
        calibration: Calibration | None = None,
    ) -> None:
        self._models = models
        self._calibration = calibration
        self._cameras = cameras
        self._outputs = outputs
        self._worker = worker
        self._tracking = tracking
        self._questions = questions
        self._hints = hints

    def __call__(self, run: ActiveGoal) -> None:
        """Run a goal to its end and close it. Blocks; returns soon after `run.stop`, whatever the models do."""
        footage = self._tracking.frame_buffer(run)
        try:
            looked = self._look_around(run, footage)
        except RunFailed as failure:
            looked = _Looked(Result(Outcome.FAILED, failure.code, failure.message))
        except Exception as error:  # a goal has to end, whatever is wrong with this package
            log.exception("goal %r failed because of a defect", run.request.id)
            looked = _Looked(defect(error))
        if looked.trace is not None:
            self._questions.keep(run.request.id, looked.trace)  # before it is told: the next goal may answer at once
        try:
            self._outputs.end(
                run,
                looked.result,
                frame=looked.frame,
                waited=looked.waited,
                trace=looked.trace,
                track_ids=self._tracking.begin(run, looked.frame, looked.result, footage),
                hint=self._hints.give(run.request, looked.frame, looked.result),
            )
        except Exception as error:
            log.exception("the result of goal %r could not be told", run.request.id)
            if run.answer is None:
                self._outputs.end(run, defect(error))

    def _look_around(self, run: ActiveGoal, footage: FrameBuffer | None) -> _Looked:
        """Look through the cameras that are meant until one shows it; what the best of them gave.

        Each gets an equal part of the time that is left. One that gives no frame is passed over where there are others.

        Raises:
            RunFailed: No camera of that name; or none could be looked through: why the first one could not.
        """
        cameras = self._cameras.meant(run.request.camera) if run.request.image is None else self._cameras.all[:1]
        looks: list[_Looked] = []
        failures: list[RunFailed] = []
        since, waited = run.started, 0.0
        for number, camera in enumerate(cameras):
            until = time.monotonic() + (run.deadline - time.monotonic()) / (len(cameras) - number)
            try:
                self._wait_for_worker(run)
                frame = None if run.ending is not None else frame_for(run, camera, footage)
                waited += time.monotonic() - since
                if frame is None:
                    return _Looked(_stopped(run), waited=waited)
                looks.append(_Looked(*self._look(run, frame, until), frame, waited))
            except RunFailed as failure:
                failures.append(failure)
                if footage is not None:
                    footage.leave()
                continue
            finally:
                since = time.monotonic()
            if run.ending is not None or looks[-1].result.outcome is Outcome.FOUND:
                return looks[-1]
            if footage is not None and camera is not cameras[-1]:
                footage.leave()
        if not looks:
            raise failures[0]
        return min(looks, key=lambda look: _RANKS.index(look.result.outcome))

    def _wait_for_worker(self, run: ActiveGoal) -> None:
        """Let the job of the last goal come back.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: it hangs.
        """
        grace = run.parameters.hang_grace
        while run.ending is None and not self._worker.wait(0.02):
            overdue = self._worker.overdue
            if overdue > grace or time.monotonic() >= run.deadline:
                models = self._models
                raise RunFailed(
                    ErrorCode.MODEL_UNAVAILABLE,
                    f"{models.policy.name} or {models.segmenter.name} has hung for {overdue:.1f} s since an earlier "
                    "goal ended; goals are refused until it comes back (restart_on_hang ends the node instead)",
                )

    def _look(self, run: ActiveGoal, frame: Frame, until: float) -> tuple[Result, Trace]:
        parameters, models = run.parameters, self._models
        budget = Budget(
            seconds=max(0.001, until - time.monotonic()),
            max_turns=run.request.max_turns or parameters.max_turns,
            max_reply_tokens=parameters.max_reply_tokens,
            max_tokens=parameters.max_tokens,
            second_look=parameters.second_look,
        )
        episode = Episode(
            frame.rgb,
            run.request.instruction,
            models.segmenter,
            budget,
            goal_id=run.request.id,
            policy_name=models.policy.name,
            pictures=models.policy.pictures,
            previous=self._questions.before(run.request.previous_id),
        )
        cancel = CancelToken()

        def work() -> None:
            try:
                drive(episode, models.policy, cancel, on_turn=lambda turn: run.poke())
            finally:  # no matter how: a model may raise SystemExit, and the goal must not wait for it any longer
                why = f"{models.policy.name} or {models.segmenter.name} ended the thread that it works in"
                episode.stop(Outcome.FAILED, ErrorCode.POLICY_FAILED, why)
                run.poke()

        self._worker.start(work)
        try:
            return self._watch(run, frame, episode, until)
        finally:
            self._worker.abandon()
            cancel.set()

    def _watch(self, run: ActiveGoal, frame: Frame, episode: Episode, until: float) -> tuple[Result, Trace]:
        """Publish turns as they come, and end the episode when its goal has to end."""
        published = 0
        while True:
            done = episode.done  # asked before the turns: once it is done, no turn follows
            for turn in episode.trace.turns[published:]:
                self._outputs.turn(run, turn, frame, episode.trace.pictures)
                published += 1
            if done:
                result = self._in_terms_of(run, episode.result)
                trace = episode.trace.ended(result)
                result, trace = decide(result, trace, self._calibration, run.parameters.min_confidence)
                return result, trace
            if run.ending is not None:
                episode.stop(run.ending.outcome, error_msg=run.ending.error_msg)
            elif time.monotonic() > until + DEADLINE_GRACE:
                episode.stop(Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
            else:
                run.wait(until + DEADLINE_GRACE + 0.001)

    def _in_terms_of(self, run: ActiveGoal, result: Result) -> Result:
        """The episode's result as that of the goal, whose clock started earlier, and which only a client can cancel."""
        if result.error_code is ErrorCode.TIME_SPENT:
            return replace(result, error_msg=f"the time budget of {run.deadline - run.started:g} s is spent")
        if result.outcome is Outcome.CANCELED and run.ending is None:
            message = f"{self._models.policy.name} broke off its reply without being asked to"
            return replace(result, outcome=Outcome.FAILED, error_code=ErrorCode.POLICY_FAILED, error_msg=message)
        return result


def _stopped(run: ActiveGoal) -> Result:
    """The result of a goal that was stopped before it had an image."""
    if run.ending is None:
        raise RuntimeError("the goal was not stopped")
    return run.ending
