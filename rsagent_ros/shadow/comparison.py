"""Comparison of two arms, incumbent and candidate: both answer the judged goals with the robot's own episode loop."""

from __future__ import annotations

import gc
import logging
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.backends import NO_FALLBACK, Choice, Models, open_models
from rsagent_ros.evaluation.answering import GRACE, Answering, WorkItem
from rsagent_ros.evaluation.results import ExampleResult
from rsagent_ros.scoring.score import Score
from rsagent_ros.shadow.answers import Answers
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.shadow.judged_goals import JudgedGoals, JudgedRef
from rsagent_ros.shadow.paired_result import GOALS, PairedResult, paired_result

log = logging.getLogger(__name__)

ROUND = 25
"""Goals that one arm answers before it is the other's turn: loading models takes longer than a goal."""

STALE = 5.0
"""Seconds after which the result is told again while an arm answers."""

NO_ANSWER = frozenset({ErrorCode.MODEL_UNAVAILABLE.name, ErrorCode.OUT_OF_MEMORY.name})
"""Failures that say nothing about who failed: they are not kept, and the goal is tried again later."""

SECONDS = 120.0
"""An episode may take at least so long, whatever the robot's budget: it runs behind everything else on the machine."""

ARMS = ("incumbent", "candidate")


class ProcessUnfit(Exception):
    """Models of this process may be broken: go on in a fresh one. The message says why."""


class WeightsChanged(ProcessUnfit):
    """The weights of an arm were written anew since the comparison began: begin another one."""


class Comparison:
    """Incumbent against candidate; only one arm's models are loaded at a time. A context manager, for one thread.

    with Comparison(records, out, incumbent, candidate) as comparison:
        finished = comparison.run(cancel)
        print(comparison.result())
    """

    def __init__(
        self,
        records: Path,
        out: Path,
        incumbent: CandidateModels,
        candidate: CandidateModels,
        *,
        budget: Budget | None = None,
        needed: int = GOALS,
        seed: int = 0,
        load: Callable[[Choice], Models] = open_models,
        grace: float = GRACE,
        on_goal: Callable[[str, Score], None] = lambda arm, score: None,
        on_result: Callable[[PairedResult], None] = lambda result: None,
    ) -> None:
        """Go on with what both have answered so far; nothing is loaded yet.

        Args:
            records: Folder of the records.
            out: Folder for answers; two comparisons must not write it at the same time.
            incumbent: The active models.
            candidate: Models that may take their place.
            budget: The robot's. An answer of the candidate that took longer counts 0; the incumbent has all the time,
                because what looks slow here may only have had to wait for others.
            needed: Goals that a promotion needs at least.
            seed: Of policies that sample, and of the bootstrap.
            load: Opens the models of a choice.
            grace: Seconds past an episode's deadline after which a call counts as hung.
            on_goal: Told of each answer, with the name of its arm.
            on_result: Told the result so far: when an arm has answered its round, and every STALE seconds.

        Raises:
            ValueError: Both arms are the same, or a file of answers is none.
            OSError: A file can't be read or written, or another process writes it.
        """
        self._arms = (incumbent.fingerprint, candidate.fingerprint)
        if self._arms[0] == self._arms[1]:
            raise ValueError("incumbent and candidate are the same: there is nothing to find out")
        self._seconds = (budget or Budget()).seconds
        self._budget = replace(budget or Budget(), seconds=max(SECONDS, self._seconds))
        self._needed = needed
        self._seed = seed
        self._load = load
        self._grace = grace
        self._on_goal = on_goal
        self._on_result = on_result
        self._reported, self._reported_on = 0.0, object()
        self._goals: list[JudgedRef] = []
        self._records = JudgedGoals(records)
        self._models = (incumbent, candidate)
        self._open = ExitStack()
        """Models and threads of the arm that is loaded."""
        self._loaded_arm: int | None = None
        self._answering: Answering | None = None
        with ExitStack() as files:
            self._answers: Sequence[Answers] = [
                files.enter_context(Answers(out, records, models, self._budget, seed)) for models in self._models
            ]
            self._files = files.pop_all()

    @property
    def folders(self) -> tuple[Path, Path]:
        """The folders with the answers of incumbent and candidate: two runs for `rsagent compare`."""
        return self._answers[0].folder, self._answers[1].folder

    def run(self, cancel: CancelToken) -> bool:
        """Answer the goals that have no answer; blocks until that is done or `cancel` is raised. Models stay loaded.

        The episode under way is thrown away when `cancel` is raised, and run again later.

        Returns:
            Whether both have answered every judged goal there is.

        Raises:
            RunFailed: Models of an arm can't be used (any more).
            WeightsChanged: Weights of an arm were written anew; go on with another comparison.
            ProcessUnfit: An arm failed or hung; go on in another process.
            OSError: A file can't be read or written.
        """
        while not cancel.is_set:
            self._survey(cancel)
            if cancel.is_set:
                break
            left = [self._left(answers) for answers in self._answers]
            if not any(left):
                if self._reported_on != self._known():
                    self._report()
                return True
            # The loaded arm goes on, unless the other one is behind by a round: only pairs are of use.
            arm = self._loaded_arm
            if arm is None or not left[arm] or len(left[1 - arm]) - len(left[arm]) >= ROUND:
                arm = 0 if len(left[0]) >= len(left[1]) else 1
            for goal in left[arm][:ROUND]:
                if cancel.is_set:
                    return False
                self._answer(arm, goal, cancel)
                if time.monotonic() - self._reported > STALE:
                    self._report()
            self._report()
        return False

    def result(self) -> PairedResult:
        """The result on the goals that there were when it last ran."""
        incumbent, candidate = self._answers
        return paired_result(
            self._arms,
            [goal.id for goal in self._goals],
            incumbent.scores,
            candidate.scores,
            frozenset(name for name, seconds in candidate.seconds.items() if seconds > self._seconds),
            self._needed,
            self._seed,
        )

    def unload(self) -> None:
        """Close the models; the next goal loads them again. Blocks for about a second at most."""
        self._open.close()
        self._loaded_arm = self._answering = None
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # else this process would keep the memory

    def __enter__(self) -> Comparison:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.unload()
        self._files.close()

    def _survey(self, cancel: CancelToken) -> None:
        """Take in new goals and new verdicts.

        Raises:
            WeightsChanged: The answers so far are no longer about these arms.
        """
        for name, models, known in zip(ARMS, self._models, self._arms, strict=True):
            if models.fingerprint != known:
                raise WeightsChanged(f"the {name}'s weights have changed: {models.name}")
        goals = self._records.look(lambda: cancel.is_set)
        if cancel.is_set:
            return  # perhaps not all of them
        self._goals = goals
        for answers in self._answers:
            answers.score_again(self._goals)

    def _left(self, answers: Answers) -> list[JudgedRef]:
        """The goals that an arm has not answered yet."""
        answered = answers.scores
        return [goal for goal in self._goals if goal.id not in answered]

    def _known(self) -> object:
        """Everything that a result is made of: with the same, it is the same."""
        return list(self._goals), [len(answers.scores) for answers in self._answers]

    def _report(self) -> None:
        self._reported, self._reported_on = time.monotonic(), self._known()
        self._on_result(self.result())

    def _answer(self, arm: int, goal: JudgedRef, cancel: CancelToken) -> None:
        """Let an arm answer a goal, and keep the answer."""
        try:
            example = goal.load()
        except ValueError as error:
            log.warning("%s", error)  # removed, or judged anew: the next survey knows
            return
        answering = self._load_arm(arm)
        # The index decides the sampling: of one goal always the same, whatever else there is.
        result = answering.result(WorkItem(zlib.crc32(goal.id.encode()), example, goal.where), cancel)
        score = result.score
        if answering.hung:
            if arm == 1 and not cancel.is_set:  # a doubt: it counts 0, as what comes too late does
                self._keep(arm, result)
            raise ProcessUnfit(f"the {ARMS[arm]} hung on goal {goal.id}")
        if cancel.is_set or score.outcome is Outcome.CANCELED:
            return
        if score.error_code in NO_ANSWER:
            raise RunFailed(ErrorCode[score.error_code], f"the {ARMS[arm]} could not answer: {score.error_msg}")
        self._keep(arm, result)
        if score.outcome is Outcome.FAILED:
            raise ProcessUnfit(f"the {ARMS[arm]} failed on goal {goal.id}: {score.error_msg}")

    def _keep(self, arm: int, result: ExampleResult) -> None:
        self._answers[arm].add(result)
        self._on_goal(ARMS[arm], result.score)

    def _load_arm(self, arm: int) -> Answering:
        """The arm's models, ready."""
        if self._answering is not None and self._loaded_arm == arm:
            return self._answering
        self.unload()
        log.info("loading the %s: %s", ARMS[arm], self._models[arm].name)
        # What a fallback answers while the server is lost says nothing about the models it stands in for.
        choice = replace(self._models[arm].choice, fallback_policy=NO_FALLBACK)
        try:
            models = self._open.enter_context(self._load(choice))
        except RunFailed as error:
            raise RunFailed(error.code, f"the {ARMS[arm]} can't be loaded: {error.message}") from error
        except Exception as error:  # a backend may raise anything
            raise RunFailed(
                ErrorCode.MODEL_UNAVAILABLE, f"the {ARMS[arm]} can't be loaded: {describe(error)}"
            ) from error
        self._answering = self._open.enter_context(Answering(models, self._budget, self._seed, self._grace))
        self._loaded_arm = arm
        return self._answering
