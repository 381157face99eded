"""Run the agent over a data set: every example gets a line in results.jsonl, and a killed run goes on where it was."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from rsagent_ros import __version__
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.backends import Choice, Models, open_models
from rsagent_ros.data.ref import ExampleRef, Skipped
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.evaluation.answering import Answering, WorkItem
from rsagent_ros.evaluation.cluster import Workers, answer_on_workers
from rsagent_ros.evaluation.rejudging import judge_again
from rsagent_ros.evaluation.results import FILE, ExampleResult, Measured, RecordedTraces, Results, RunSettings
from rsagent_ros.scoring.score import Score


@dataclass(frozen=True)
class EvaluationConfig:
    """A data set, the models to run on it, and how.

    Attributes:
        dataset: The examples.
        choice: Policy and segmenter.
        budget: Of each episode.
        seed: Of the examples that `limit` chooses, of policies that sample, and of the bootstrap.
        limit: So many examples, chosen at random; 0 for all.
        in_flight: Episodes at a time; more than one is worth it with a model server.
        workers: Processes of their own; None to stay in this one.
        replies: Folder of an earlier run whose replies are repeated instead of asking the policy; empty for none.
    """

    dataset: Dataset
    choice: Choice
    budget: Budget
    seed: int = 0
    limit: int = 0
    in_flight: int = 1
    workers: Workers | None = None
    replies: str = ""

    def __post_init__(self) -> None:
        if self.in_flight < 1 or self.limit < 0:
            raise ValueError(f"{self.in_flight} in flight, limit {self.limit}: the least are 1 and 0")

    @property
    def run_settings(self) -> RunSettings:
        """Identity of the run: where it runs and how many at a time are no part of it."""
        system = {**asdict(self.choice), "settings": dict(self.choice.settings)}
        budget = asdict(self.budget)
        # What is not asked for is left out: the run is the same as one of before.
        votes = {name: budget.pop(name) for name in ("votes", "votes_seconds")}
        if votes["votes"] > 1:
            system |= votes
        below, cross_check = budget.pop("second_look_below"), budget.pop("cross_check")
        if budget.pop("second_look"):
            system["second_look"] = True
            system |= {"second_look_below": below} if below < 1 else {}
            system |= {"cross_check": True} if cross_check else {}
        if self.replies:
            system["replies"] = self.replies
        return RunSettings(asdict(self.dataset), system, budget, self.seed, self.limit, __version__)


@dataclass(frozen=True)
class Evaluated:
    """Everything that came of a run.

    Attributes:
        settings: Of the run.
        scores, measured: One for each example that was answered, in the order of the data set.
        skipped: Entries that could not be used, in the order of the data set.
        remarks: What is odd, each with its place.
    """

    settings: RunSettings
    scores: list[Score]
    measured: list[Measured]
    skipped: list[Skipped]
    remarks: list[str]

    @property
    def faults(self) -> bool:
        """Whether something was skipped for a fault in the data, or used though it is odd."""
        return bool(self.remarks) or any(skipped.fault for skipped in self.skipped)


Progress = Callable[[Score, int | None], None]
"""Told of every score, those of an earlier part of the run first, and how many there will be (None: not known)."""


def evaluate(
    config: EvaluationConfig, out: Path, progress: Progress | None = None, models: Callable[[], Models] | None = None
) -> Evaluated:
    """Run the agent on every example that has no line in `out`/results.jsonl yet; blocks until all have one.

    Args:
        config: The data set, the models, and how.
        out: Folder; made where it is missing.
        progress: Told of every score.
        models: Loads policy and segmenter; without, as `config.choice` says. With workers it must be picklable.

    Raises:
        RunFailed: MODEL_UNAVAILABLE.
        ValueError: The data set is none, or `out` holds another run.
        OSError: A file is not there or can't be written.
    """
    open_them = models if models is not None else partial(open_models, _without_policy(config))
    with ExitStack() as stack:
        replies = None
        if config.replies:
            replies = RecordedTraces(Path(config.replies) / FILE)
            stack.callback(replies.close)
        chosen, total = _choose(config)
        results = stack.enter_context(Results(out, config.run_settings))
        _complete_scores(results, config.dataset)
        if progress is not None:
            for score in results.scores:
                progress(score, total)
        skipped: list[tuple[int, Skipped]] = []
        items = _work_items(config.dataset, chosen, {score.id for score in results.scores}, skipped, replies)
        if config.workers is not None:
            workers = replace(config.workers, in_flight=config.in_flight)
            finished = answer_on_workers(items, open_them, config.budget, config.seed, workers)
        else:
            loaded = stack.enter_context(open_them())
            answering = stack.enter_context(Answering(loaded, config.budget, config.seed))
            finished = _answer_here(items, answering, config.in_flight)
        for result in finished:
            results.add(result)
            if progress is not None:
                progress(result.score, total)
        return evaluated(config.run_settings, results, [one for _, one in sorted(skipped, key=lambda pair: pair[0])])


def evaluated(
    settings: RunSettings, results: Results, skipped: list[Skipped], remarks: Sequence[str] = ()
) -> Evaluated:
    """The results in the order of the data set, whatever the order they came in, with these remarks more."""
    pairs = sorted(zip(results.scores, results.measured, strict=True), key=lambda pair: pair[0].index)
    all_remarks = sorted([*results.remarks, *remarks])
    return Evaluated(settings, [score for score, _ in pairs], [one for _, one in pairs], skipped, all_remarks)


def _complete_scores(results: Results, dataset: Dataset) -> None:
    """Judge again what a release before this one has judged by fewer measures."""
    stale = {score.id for score in results.scores if math.isnan(score.credit)}
    if stale:
        entries = list_examples(dataset)
        judge_again(results, (one for one in entries if isinstance(one, ExampleRef) and one.id in stale))


def _without_policy(config: EvaluationConfig) -> Choice:
    """The choice to load: the policy need not be there where its replies are."""
    return replace(config.choice, policy="reference", fallback_policy="") if config.replies else config.choice


def _choose(config: EvaluationConfig) -> tuple[set[int] | None, int | None]:
    """The indices of the examples (None: all), and how many they are (None: counting them would take as long)."""
    if config.dataset.kind == "records" and not config.limit:
        return None, None
    indices = [number for number, one in enumerate(list_examples(config.dataset)) if isinstance(one, ExampleRef)]
    if not config.limit or config.limit >= len(indices):
        return None, len(indices)
    return set(random.Random(config.seed).sample(indices, config.limit)), config.limit


def _work_items(
    dataset: Dataset,
    chosen: set[int] | None,
    done: set[str],
    skipped: list[tuple[int, Skipped]],
    replies: RecordedTraces | None,
) -> Iterator[WorkItem]:
    """The examples without a line, loaded as they are asked for; those that can't be used go to `skipped`."""
    for index, one in enumerate(list_examples(dataset)):
        if isinstance(one, Skipped):
            skipped.append((index, one))
            continue
        if one.id in done or (chosen is not None and index not in chosen):
            continue
        trace = None
        if replies is not None:
            try:
                trace = replies[one.id]
            except KeyError:
                skipped.append((index, Skipped(one.id, one.where, "the earlier run has no replies to it")))
                continue
        try:
            example = one.load()
        except (ValueError, OSError) as error:
            skipped.append((index, Skipped(one.id, one.where, str(error))))
        else:
            yield WorkItem(index, example, one.where, trace)


def _answer_here(items: Iterator[WorkItem], answering: Answering, in_flight: int) -> Iterator[ExampleResult]:
    """The results of all examples as they are finished, so many at a time."""
    with ThreadPoolExecutor(in_flight, thread_name_prefix="sample") as pool:
        running: set[Future[ExampleResult]] = set()
        while True:
            while len(running) < in_flight and (item := next(items, None)) is not None:
                running.add(pool.submit(answering.result, item))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()


def nothing_left(skipped: list[Skipped]) -> RunFailed:
    """The failure of a run that has nothing to report."""
    first = f"; the first: {skipped[0].where}: {skipped[0].reason}" if skipped else ""
    return RunFailed(ErrorCode.INVALID_GOAL, f"no example could be used, {len(skipped)} were skipped{first}")
