"""What one side has answered: an evaluation's results.jsonl, so `rsagent compare` and `rsagent calibrate` read it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import msgspec

from rsagent_ros.agent.budget import Budget
from rsagent_ros.datasets import Dataset
from rsagent_ros.evaluation.answering import WorkItem, scored
from rsagent_ros.evaluation.evaluator import Plan
from rsagent_ros.evaluation.results import FILE, Line, Results, find_lines
from rsagent_ros.scoring.score import Row
from rsagent_ros.shadow.candidate import Candidate
from rsagent_ros.shadow.judged_goals import JudgedRef, source


class Answers:
    """The answers of one side to all goals it has played, on the disk one by one. A context manager.

    They belong to what was chosen, its weights, the budget and the release: with another of these begins another file,
    and who comes back finds what he had answered before. An answer stays when its goal is judged anew; its score does
    not, and is appended: of several lines about a goal the last counts, here and for `rsagent compare`.

    Attributes:
        folder: With results.jsonl.
        rows: The newest scores, by goal.
        seconds: How long each answer took, from the first look to the result.
    """

    def __init__(self, out: Path, records: Path, candidate: Candidate, budget: Budget, seed: int) -> None:
        """Go on where the file ends.

        Raises:
            ValueError: The file is none.
            OSError: It can't be read or written, or another process writes it.
        """
        run = Plan(Dataset("records", str(records)), candidate.choice, budget, seed).run
        run = replace(run, system={**run.system, "fingerprint": candidate.fingerprint})
        name = f"{candidate.fingerprint}-{hashlib.sha256(msgspec.json.encode(run, order='sorted')).hexdigest()[:8]}"
        self.folder = out / "answers" / name
        self._results = Results(self.folder, run)
        self.rows: dict[str, Row] = {row.id: row for row in self._results.rows}
        pairs = zip(self._results.rows, self._results.measured, strict=True)
        self.seconds: dict[str, float] = {row.id: measured.seconds for row, measured in pairs}

    def add(self, line: Line) -> None:
        """Append an answer; it is on the disk when this returns."""
        self._results.add(line)
        self.rows[line.row.id] = line.row
        self.seconds[line.row.id] = line.measured.seconds

    def score_again(self, goals: Collection[JudgedRef]) -> None:
        """Hold answers against what is true by now, where that is not what they were held against.

        Goals that can't be loaded are left as they are.
        """
        changed = {
            goal.id: goal for goal in goals if goal.id in self.rows and self.rows[goal.id].source != source(goal.truth)
        }
        if not changed:
            return
        lines = {line.row.id: line for line in find_lines(self.folder / FILE, set(changed))}
        for name, line in lines.items():
            trace = line.whole_trace()
            try:
                example = changed[name].load()
            except ValueError:
                continue  # it has changed again: the next look at the records finds it
            if trace is not None:
                again = scored(WorkItem(line.row.index, example, changed[name].where), trace)
                self.add(again)

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._results.__exit__(kind, error, traceback)
