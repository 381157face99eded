"""One goal from its image to its result: takes the frame, lets the worker drive the episode, publishes each turn."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.turn import Trace
from rsagent_ros.backends import Models
from rsagent_ros.ros.frames import Camera, Frame
from rsagent_ros.ros.goals import Run
from rsagent_ros.ros.outputs import Outputs
from rsagent_ros.ros.worker import Worker

log = logging.getLogger(__name__)

DEADLINE_GRACE = 0.1
"""Seconds past the deadline after which a policy is no longer waited for. One that heeds it ends the episode itself."""

CAMERAS = ("", "*")
"""Names that mean the one camera there is: the default camera, and all of them."""


class Execution:
    """Runs goals, one at a time, in the thread of the caller."""

    def __init__(self, models: Models, camera: Camera, outputs: Outputs, worker: Worker) -> None:
        self._models = models
        self._camera = camera
        self._outputs = outputs
        self._worker = worker

    def __call__(self, run: Run) -> None:
        """Run a goal to its end and close it. Blocks; returns soon after `run.stop`, whatever the models do."""
        waited = 0.0
        frame: Frame | None = None
        trace: Trace | None = None
        try:
            self._wait_for_worker(run)
            frame = self._frame(run)
            waited = time.monotonic() - run.started
            if frame is None:
                result = _stopped(run)
            else:
                result, trace = self._look(run, frame)
        except RunFailed as failure:
            result = Result(Outcome.FAILED, failure.code, failure.message)
        except Exception as error:  # a goal has to end, whatever is wrong with this package
            log.exception("goal %r failed because of a defect", run.request.id)
            result = _defect(error)
        try:
            self._outputs.end(run, result, frame=frame, waited=waited, trace=trace)
        except Exception as error:
            log.exception("the result of goal %r could not be told", run.request.id)
            if run.answer is None:
                self._outputs.end(run, _defect(error))

    def _wait_for_worker(self, run: Run) -> None:
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

    def _frame(self, run: Run) -> Frame | None:
        if run.ending is not None:
            return None
        if run.request.camera not in CAMERAS:
            raise RunFailed(
                ErrorCode.UNKNOWN_CAMERA,
                f"there is no camera {run.request.camera!r}: leave it empty for the camera on {self._camera.topic}",
            )
        return self._camera.frame(run)

    def _look(self, run: Run, frame: Frame) -> tuple[Result, Trace]:
        parameters, models = run.parameters, self._models
        budget = Budget(
            seconds=max(0.001, run.deadline - time.monotonic()),
            max_turns=run.request.max_turns or parameters.max_turns,
            max_reply_tokens=parameters.max_reply_tokens,
            max_tokens=parameters.max_tokens,
        )
        episode = Episode(
            frame.rgb,
            run.request.instruction,
            models.segmenter,
            budget,
            goal_id=run.request.id,
            policy_name=models.policy.name,
            pictures=models.policy.pictures,
        )
        cancel = CancelToken()

        def work() -> None:
            drive(episode, models.policy, cancel, on_turn=lambda turn: run.poke())
            run.poke()

        self._worker.start(work)
        try:
            return self._watch(run, frame, episode)
        finally:
            self._worker.abandon()
            cancel.set()

    def _watch(self, run: Run, frame: Frame, episode: Episode) -> tuple[Result, Trace]:
        """Publish turns as they come, and end the episode when its goal has to end."""
        published = 0
        while True:
            done = episode.done  # asked before the turns: once it is done, no turn follows
            for turn in episode.trace.turns[published:]:
                self._outputs.turn(run, turn, frame, episode.trace.pictures)
                published += 1
            if done:
                return self._in_terms_of(run, episode.result), episode.trace
            if run.ending is not None:
                episode.stop(run.ending.outcome, error_msg=run.ending.error_msg)
            elif time.monotonic() > run.deadline + DEADLINE_GRACE:
                episode.stop(Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
            else:
                run.wait(run.deadline + DEADLINE_GRACE + 0.001)

    def _in_terms_of(self, run: Run, result: Result) -> Result:
        """The episode's result as that of the goal, whose clock started earlier, and which only a client can cancel."""
        if result.error_code is ErrorCode.TIME_SPENT:
            return replace(result, error_msg=f"the time budget of {run.deadline - run.started:g} s is spent")
        if result.outcome is Outcome.CANCELED and run.ending is None:
            message = f"{self._models.policy.name} broke off its reply without being asked to"
            return replace(result, outcome=Outcome.FAILED, error_code=ErrorCode.POLICY_FAILED, error_msg=message)
        return result


def _stopped(run: Run) -> Result:
    """The result of a goal that was stopped before it had an image."""
    if run.ending is None:
        raise RuntimeError("the goal was not stopped")
    return run.ending


def _defect(error: Exception) -> Result:
    return Result(Outcome.FAILED, ErrorCode.INTERNAL, f"{describe(error)}; please report this")
