"""Answers whose truth is known, from a results.jsonl of the evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.confidence.calibrate import JudgedAnswer
from rsagent_ros.confidence.evidence import answer_ids, evidence_for
from rsagent_ros.evaluation.results import read_results
from rsagent_ros.scoring.score import Score


def judged(path: Path) -> Iterator[JudgedAnswer]:
    """The answers FOUND of an evaluation that have a trace, one by one. Others say of no mask that it is the answer.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no file of the evaluator, or a line in it is wrong.
    """
    newest = {result.score.id: number for number, result in enumerate(read_results(path)[1])}
    for number, result in enumerate(read_results(path)[1]):
        try:
            trace = result.whole_trace() if number == newest[result.score.id] else None
        except ValueError as error:
            raise ValueError(f"{path}, sample {result.score.id}: {error}") from error
        answer = None if trace is None else judged_answer(result.score, trace)
        if answer is not None:
            yield answer


def judged_answer(score: Score, trace: Trace) -> JudgedAnswer | None:
    """The answer of a finished episode; None for one that is not FOUND.

    Of an answer with several masks the one with the least evidence counts, as in a Result. `Score.right` says whether
    the answer was right.
    """
    ids = answer_ids(trace)
    if score.outcome is not Outcome.FOUND or not ids:
        return None
    evidence = min((evidence_for(trace, name) for name in ids), key=lambda one: one.score * one.stability)
    return JudgedAnswer(evidence, score.right, trace.policy, trace.segmenter)
