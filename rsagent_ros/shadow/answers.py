"""Answers of one arm: an evaluation's results.jsonl, so `rsagent compare` and `rsagent calibrate` read it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import msgspec

from rsagent_ros.agent.budget import Budget
from rsagent_ros.datasets import Dataset
from rsagent_ros.evaluation.evaluator import EvaluationConfig
from rsagent_ros.evaluation.rejudging import judge_again
from rsagent_ros.evaluation.results import ExampleResult, Results
from rsagent_ros.scoring.score import Score
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.shadow.judged_goals import JudgedRef, source


class Answers:
    """The answers of one arm to all goals so far, on the disk one by one. A context manager.

    They belong to the choice of models, their weights, the budget and the release: with another of these begins another
    file, and models that come back find the answers of before. An answer stays when its goal is judged anew; its score
    does not, and is appended: of several lines about a goal the last counts, here and for `rsagent compare`.

    Attributes:
        folder: With results.jsonl.
    """

    def __init__(self, out: Path, records: Path, models: CandidateModels, budget: Budget, seed: int) -> None:
        """Go on where the file ends.

        Raises:
            ValueError: The file is none.
            OSError: It can't be read or written, or another process writes it.
        """
        run = EvaluationConfig(Dataset("records", str(records)), models.choice, budget, seed).run_settings
        run = replace(run, system={**run.system, "fingerprint": models.fingerprint})
        name = f"{models.fingerprint}-{hashlib.sha256(msgspec.json.encode(run, order='sorted')).hexdigest()[:8]}"
        self.folder = out / "answers" / name
        self._results = Results(self.folder, run)

    @property
    def scores(self) -> dict[str, Score]:
        """The newest scores, by goal."""
        return {score.id: score for score in self._results.scores}

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds that each answer took, by goal: from the first look to the result."""
        pairs = zip(self._results.scores, self._results.measured, strict=True)
        return {score.id: measured.seconds for score, measured in pairs}

    def add(self, result: ExampleResult) -> None:
        """Append an answer; it is on the disk when this returns."""
        self._results.add(result)

    def score_again(self, goals: Collection[JudgedRef]) -> None:
        """Hold answers against what is true by now, where that is not what they were held against.

        So are those of a release before this one, which has judged them by fewer measures. Goals that can't be loaded
        are left as they are.
        """
        known = self.scores
        stale = [
            goal
            for goal in goals
            if goal.id in known and (known[goal.id].source != source(goal.truth) or math.isnan(known[goal.id].credit))
        ]
        if stale:
            judge_again(self._results, stale)

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._results.__exit__(kind, error, traceback)
