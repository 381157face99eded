"""Judging answers anew, where the truth or the judgement has changed since: from their traces, without a model."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from rsagent_ros.data.ref import ExampleRef
from rsagent_ros.evaluation.answering import WorkItem, result_of
from rsagent_ros.evaluation.results import RecordedTraces, Results


def judge_again(results: Results, refs: Iterable[ExampleRef]) -> None:
    """Hold the answers to these examples against what is true by now; blocks until the new results are appended.

    Answers without a trace, and examples that have no answer yet or can't be loaded, are left as they are.
    """
    indices = {score.id: score.index for score in results.scores}
    with closing(RecordedTraces(results.path)) as traces:
        for ref in refs:
            trace = traces.get(ref.id)
            if trace is None:
                continue
            try:
                example = ref.load()
            except (ValueError, OSError):
                continue  # whoever lists the examples is told
            results.add(result_of(WorkItem(indices[ref.id], example, ref.where), trace))
