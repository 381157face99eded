"""`EpisodeRunner`: the episodes of a goal, driven by the thread `worker` and watched by the thread `runner`.

The runner publishes each turn and ends the episode when its goal has to end. It never waits for a model: what a late
call brings back is discarded, and the worker is overdue until then. Where votes are asked for, the threads `vote` drive
more episodes once the first has answered; their turns are in the trace, and are not published.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.daemon_threads import DaemonThreads
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.policy import BatchPolicy, Policy
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.turn import Trace
from rsagent_ros.agent.voting import Begin, Voting
from rsagent_ros.backends import Models
from rsagent_ros.confidence import Calibration, decide
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.ros.goals.progress import Progress
from rsagent_ros.ros.goals.publishers import Publishers
from rsagent_ros.ros.goals.worker import Worker
from rsagent_ros.segmenters.one_at_a_time import one_at_a_time

DEADLINE_GRACE = 0.1
"""Seconds past the deadline after which a policy is no longer waited for. One that heeds it ends the episode itself."""


class EpisodeRunner:
    """Runs episodes with the models that are loaded, one at a time, for the thread that calls."""

    def __init__(
        self, models: Models, worker: Worker, publishers: Publishers, calibration: Calibration | None = None
    ) -> None:
        """Take the models into use.

        Args:
            models: Used by the worker and the threads of votes alone.
            worker: Its last job may be under way still.
            publishers: For turns.
            calibration: Makes confidences of evidence; None leaves them as they are.
        """
        self._models = models
        self._segmenter = one_at_a_time(models.segmenter)
        self._voters = DaemonThreads("vote")
        self._worker = worker
        self._publishers = publishers
        self._calibration = calibration

    def close(self) -> None:
        """Let go of the threads of votes. Does not block."""
        self._voters.close()

    def wait_for_models(self, goal: ActiveGoal, until: float) -> None:
        """Let the last goal's call of a model come back. Blocks until then, `until`, or the goal has to end.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: it has not come back.
        """
        while goal.ending is None and not self._worker.wait(0.02):
            if time.monotonic() >= until:
                models, overdue = self._models, self._worker.overdue
                raise RunFailed(
                    ErrorCode.MODEL_UNAVAILABLE,
                    f"{models.policy.name} or {models.segmenter.name} has hung for {overdue:.1f} s since an earlier "
                    "goal ended, and this goal's time was spent waiting for it (restart_on_hang ends the node instead)",
                )

    def run(self, goal: ActiveGoal, frame: Frame, previous: Sequence[Exchange], until: float) -> tuple[Result, Trace]:
        """Answer a goal on a frame. Blocks until its end, which comes soon after `until` or the goal's `stop`.

        Args:
            goal: The goal.
            frame: Its image.
            previous: Exchanges that it goes on from.
            until: `time.monotonic()` of its deadline.

        Returns:
            The result, with calibrated confidences, and the trace that goes with it.

        Raises:
            RunFailed: INVALID_GOAL or BAD_IMAGE, before anything has run.
        """
        parameters, models = goal.parameters, self._models
        budget = Budget(
            seconds=max(0.001, until - time.monotonic()),
            max_turns=goal.request.max_turns or parameters.max_turns,
            max_reply_tokens=parameters.max_reply_tokens,
            max_tokens=parameters.max_tokens,
            second_look=parameters.second_look,
            second_look_below=parameters.second_look_below,
            cross_check=parameters.cross_check,
            votes=parameters.votes,
            votes_seconds=parameters.votes_seconds,
        )

        def begin(_: int, seconds: float) -> tuple[Episode, Policy]:
            episode = Episode(
                frame.rgb,
                goal.request.instruction,
                self._segmenter,
                replace(budget, seconds=seconds),
                goal_id=goal.request.id,
                policy_name=models.policy.name,
                pictures=models.policy.pictures,
                previous=previous,
            )
            return episode, models.policy

        first = self._first(goal, frame, begin(1, budget.seconds)[0], until)
        result, trace = first if goal.ending is not None else self._voted(goal, first, begin, budget, until)
        return decide(result, trace, self._calibration, parameters.min_confidence)

    def _first(self, goal: ActiveGoal, frame: Frame, episode: Episode, until: float) -> tuple[Result, Trace]:
        """Drive the first episode in the worker."""
        models, cancel = self._models, CancelToken()

        def work() -> None:
            try:
                drive(episode, models.policy, cancel, on_turn=lambda turn: goal.wakeup.poke())
            finally:  # no matter how: a model may raise SystemExit, and the goal must not wait for it any longer
                why = f"{models.policy.name} or {models.segmenter.name} ended the thread that it works in"
                episode.stop(Outcome.FAILED, ErrorCode.POLICY_FAILED, why)
                goal.wakeup.poke()

        self._publishers.progress(goal, Progress.THINKING)
        self._worker.start(work)
        try:
            return self._watch(goal, frame, episode, until)
        finally:
            self._worker.abandon()
            cancel.set()

    def _voted(
        self, goal: ActiveGoal, first: tuple[Result, Trace], begin: Begin, budget: Budget, until: float
    ) -> tuple[Result, Trace]:
        """Vote on the first episode's answer, until that is decided or the goal has to end."""
        voting = Voting(
            first,
            begin,
            budget,
            until,
            threads=self._voters,
            one_by_one=isinstance(self._models.policy, BatchPolicy),
            on_change=goal.wakeup.poke,
        )
        voting.start()
        while goal.ending is None and not voting.decided and time.monotonic() < voting.until:
            goal.wakeup.wait(voting.until)
        return voting.close(goal.ending)

    def _watch(self, goal: ActiveGoal, frame: Frame, episode: Episode, until: float) -> tuple[Result, Trace]:
        """Publish turns as they come, and end the episode when its goal has to end."""
        published = 0
        while True:
            done = episode.done  # asked before the turns: once it is done, no turn follows
            for turn in episode.trace.turns[published:]:
                self._publishers.turn(goal, turn, frame, episode.picture(turn))
                published += 1
            if done:
                result = self._as_of_goal(goal, episode.result, until)
                return result, episode.trace.ended(result)
            if goal.ending is not None:
                episode.stop(goal.ending.outcome, error_msg=goal.ending.error_msg)
            elif time.monotonic() > until + DEADLINE_GRACE:
                episode.stop(Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
            else:
                goal.wakeup.wait(until + DEADLINE_GRACE + 0.001)

    def _as_of_goal(self, goal: ActiveGoal, result: Result, until: float) -> Result:
        """The episode's result as the goal's, whose clock started earlier, and which only a client can cancel."""
        if result.error_code is ErrorCode.TIME_SPENT:
            budget = f"the time budget of {goal.deadline - goal.started:g} s"
            if goal.deadline - until > DEADLINE_GRACE:  # other cameras are still to be looked through
                budget = f"this camera's part of {budget}"
            return replace(result, error_msg=f"{budget} is spent")
        if result.outcome is Outcome.CANCELED and goal.ending is None:
            message = f"{self._models.policy.name} broke off its reply without being asked to"
            return replace(result, outcome=Outcome.FAILED, error_code=ErrorCode.POLICY_FAILED, error_msg=message)
        return result
