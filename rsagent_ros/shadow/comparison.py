"""Two sides play the judged goals of the records, with the robot's own episode loop, and are compared."""

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
from rsagent_ros.shadow.candidate import Candidate
from rsagent_ros.shadow.interim_analysis import Looks
from rsagent_ros.shadow.judged_goals import JudgedGoals, JudgedRef
from rsagent_ros.shadow.paired_result import GOALS, Standing, standing

log = logging.getLogger(__name__)

ROUND = 25
"""Goals that one side plays before it is the other's turn: loading models takes longer than a goal."""

STALE = 5.0
"""Seconds after which the standing is told again while a side plays."""

NO_ANSWER = frozenset({ErrorCode.MODEL_UNAVAILABLE.name, ErrorCode.OUT_OF_MEMORY.name})
"""Failures that say nothing about who failed: they are not kept, and the goal is played again later."""

SECONDS = 120.0
"""An episode may take at least so long, whatever the robot's budget: it runs behind everything else on the machine."""

SIDES = ("incumbent", "candidate")


class Spoiled(Exception):
    """Models of this process may be broken: what comes next belongs to a fresh one. The message says why."""


class Changed(Spoiled):
    """A side is another one than when the contest began: its weights were written anew. Begin another contest."""


class Contest:
    """Incumbent against candidate; only one side's models are loaded at a time. A context manager, for one thread.

    with Contest(records, out, incumbent, candidate) as contest:
        finished = contest.play(cancel)
        print(contest.standing())
    """

    def __init__(
        self,
        records: Path,
        out: Path,
        incumbent: Candidate,
        candidate: Candidate,
        *,
        budget: Budget | None = None,
        needed: int = GOALS,
        seed: int = 0,
        load: Callable[[Choice], Models] = open_models,
        grace: float = GRACE,
        on_goal: Callable[[str, Score], None] = lambda side, score: None,
        on_standing: Callable[[Standing], None] = lambda standing: None,
    ) -> None:
        """Go on with what both have answered so far; nothing is loaded yet.

        Args:
            records: Folder of the records.
            out: Folder for answers; two contests must not write it at the same time.
            incumbent: Who decides now.
            candidate: Who might.
            budget: The robot's. An answer of the candidate that took longer counts 0; the incumbent has all the time,
                because what looks slow here may only have had to wait for others.
            needed: Goals that a promotion takes at least.
            seed: Of policies that sample, and of the bootstrap.
            load: Opens the models of a choice.
            grace: Seconds past an episode's deadline after which a call counts as hung.
            on_goal: Told of each answer, with the name of its side.
            on_standing: Told how it stands: when a side has played its round, and every STALE seconds.

        Raises:
            ValueError: Both sides are the same, or a file of answers is none.
            OSError: A file can't be read or written, or another process writes it.
        """
        self._sides = (incumbent.fingerprint, candidate.fingerprint)
        if self._sides[0] == self._sides[1]:
            raise ValueError("incumbent and candidate are the same: there is nothing to find out")
        self._seconds = (budget or Budget()).seconds
        self._budget = replace(budget or Budget(), seconds=max(SECONDS, self._seconds))
        self._needed = needed
        self._seed = seed
        self._load = load
        self._grace = grace
        self._on_goal = on_goal
        self._on_standing = on_standing
        self._told, self._told_of = 0.0, object()
        self._goals: list[JudgedRef] = []
        self._records = JudgedGoals(records)
        self._who = (incumbent, candidate)
        self._open = ExitStack()
        """Models and threads of the side that plays."""
        self._playing: int | None = None
        self._answering: Answering | None = None
        self._looks = Looks(out / "looks" / f"{'-'.join(self._sides)}.json")
        with ExitStack() as journals:
            self._answers: Sequence[Answers] = [
                journals.enter_context(Answers(out, records, side, self._budget, seed)) for side in self._who
            ]
            self._journals = journals.pop_all()

    @property
    def folders(self) -> tuple[Path, Path]:
        """Where the answers of incumbent and candidate are: two runs for `rsagent compare`."""
        return self._answers[0].folder, self._answers[1].folder

    def play(self, cancel: CancelToken) -> bool:
        """Play what has not been played; blocks until that is done or `cancel` is raised. Models stay loaded.

        The episode under way is thrown away when `cancel` is raised, and played again later.

        Returns:
            Whether both sides have answered every judged goal there is.

        Raises:
            RunFailed: Models of a side can't be used (any more).
            Changed: Weights of a side were written anew; go on with another contest.
            Spoiled: A side failed or hung; go on in another process.
            OSError: A file can't be read or written.
        """
        while not cancel.is_set:
            self._survey(cancel)
            if cancel.is_set:
                break
            left = [self._left(side) for side in self._answers]
            if not any(left):
                if self._told_of != self._known():
                    self._tell()
                return True
            # Who is loaded goes on, unless the other one is behind by a round: only pairs are of use.
            side = self._playing
            if side is None or not left[side] or len(left[1 - side]) - len(left[side]) >= ROUND:
                side = 0 if len(left[0]) >= len(left[1]) else 1
            for goal in left[side][:ROUND]:
                if cancel.is_set:
                    return False
                self._one(side, goal, cancel)
                if time.monotonic() - self._told > STALE:
                    self._tell()
            self._tell()
        return False

    def standing(self) -> Standing:
        """How it stands on the goals that there were when it was last played.

        Raises:
            OSError: A look at it can't be written down.
        """
        incumbent, candidate = self._answers
        now = standing(
            self._sides,
            [goal.id for goal in self._goals],
            incumbent.scores,
            candidate.scores,
            frozenset(name for name, seconds in candidate.seconds.items() if seconds > self._seconds),
            self._needed,
            self._seed,
        )
        return self._looks.take(now, {goal.id for goal in self._goals})

    def let_go(self) -> None:
        """Close the models; the next goal loads them again. Blocks for about a second at most."""
        self._open.close()
        self._playing = self._answering = None
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # else this process would keep the memory

    def __enter__(self) -> Contest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.let_go()
        self._journals.close()

    def _survey(self, cancel: CancelToken) -> None:
        """Take in new goals and new verdicts.

        Raises:
            Changed: What the answers so far say is no longer about these sides.
        """
        for name, who, known in zip(SIDES, self._who, self._sides, strict=True):
            if who.fingerprint != known:
                raise Changed(f"the {name}'s weights have changed: {who.name}")
        goals = self._records.look(lambda: cancel.is_set)
        if cancel.is_set:
            return  # perhaps not all of them
        self._goals = goals
        for side in self._answers:
            side.score_again(self._goals)

    def _left(self, answers: Answers) -> list[JudgedRef]:
        """The goals that a side has not answered yet."""
        answered = answers.scores
        return [goal for goal in self._goals if goal.id not in answered]

    def _known(self) -> object:
        """What a standing is made of: with the same, it is the same."""
        return list(self._goals), [len(side.scores) for side in self._answers]

    def _tell(self) -> None:
        self._told, self._told_of = time.monotonic(), self._known()
        self._on_standing(self.standing())

    def _one(self, side: int, goal: JudgedRef, cancel: CancelToken) -> None:
        """Let a side play a goal, and keep its answer."""
        try:
            example = goal.load()
        except ValueError as error:
            log.warning("%s", error)  # removed, or judged anew: the next survey knows
            return
        answering = self._loaded(side)
        # The index decides the sampling: of one goal always the same, whatever else there is.
        result = answering.result(WorkItem(zlib.crc32(goal.id.encode()), example, goal.where), cancel)
        score = result.score
        if answering.hung:
            if side == 1 and not cancel.is_set:  # a doubt: it counts 0, as what comes too late does
                self._keep(side, result)
            raise Spoiled(f"the {SIDES[side]} hung while it played goal {goal.id}")
        if cancel.is_set or score.outcome is Outcome.CANCELED:
            return
        if score.error_code in NO_ANSWER:
            raise RunFailed(ErrorCode[score.error_code], f"the {SIDES[side]} could not play: {score.error_msg}")
        self._keep(side, result)
        if score.outcome is Outcome.FAILED:
            raise Spoiled(f"the {SIDES[side]} failed on goal {goal.id}: {score.error_msg}")

    def _keep(self, side: int, result: ExampleResult) -> None:
        self._answers[side].add(result)
        self._on_goal(SIDES[side], result.score)

    def _loaded(self, side: int) -> Answering:
        """The side's models, ready."""
        if self._answering is not None and self._playing == side:
            return self._answering
        self.let_go()
        log.info("loading the %s: %s", SIDES[side], self._who[side].name)
        # What a fallback answers while the server is lost says nothing about who it stands in for.
        choice = replace(self._who[side].choice, fallback_policy=NO_FALLBACK)
        try:
            models = self._open.enter_context(self._load(choice))
        except RunFailed as error:
            raise RunFailed(error.code, f"the {SIDES[side]} can't be loaded: {error.message}") from error
        except Exception as error:  # a backend may raise anything
            raise RunFailed(
                ErrorCode.MODEL_UNAVAILABLE, f"the {SIDES[side]} can't be loaded: {describe(error)}"
            ) from error
        self._answering = self._open.enter_context(Answering(models, self._budget, self._seed, self._grace))
        self._playing = side
        return self._answering
