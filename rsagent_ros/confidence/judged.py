"""Answers whose truth is known, from a results.jsonl of the evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.confidence.calibrate import JudgedAnswer
from rsagent_ros.confidence.evidence import answer_ids, evidence_for
from rsagent_ros.evaluation.results import read_results
from rsagent_ros.scoring.score import MATCH_IOU


def judged(path: Path) -> Iterator[JudgedAnswer]:
    """The answers of an evaluation that have a mask and a trace, one by one. Others say nothing about confidence.

    Of an answer with several masks the one with the least evidence counts, as in a Result; of an ambiguous one the
    surest candidate, as it is the one whose IoU is in the row.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no file of the evaluator, or a line in it is wrong.
    """
    for line in read_results(path)[1]:
        trace = line.whole_trace()
        if trace is None or not line.row.masked or not answer_ids(trace):
            continue
        if trace.outcome is Outcome.AMBIGUOUS:
            evidence = evidence_for(trace, trace.candidate_ids[int(np.argmax(trace.confidences))])
        else:
            evidence = min(
                (evidence_for(trace, mask_id) for mask_id in answer_ids(trace)),
                key=lambda one: one.score * one.stability,
            )
        yield JudgedAnswer(evidence, line.row.iou >= MATCH_IOU, trace.policy, trace.segmenter)
