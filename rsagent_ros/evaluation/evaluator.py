"""Run the agent over a data set: every example gets a line in results.jsonl, and a killed run goes on where it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
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
from rsagent_ros.evaluation.results import FILE, Line, Measured, RecordedTraces, Results, Run
from rsagent_ros.scoring.score import Row


@dataclass(frozen=True)
class Plan:
    """What to evaluate, and how.

    Attributes:
        dataset: On what.
        choice: Who decides and who draws.
        budget: Of each episode.
        seed: Of the samples that `limit` chooses, of policies that sample, and of the bootstrap.
        limit: So many samples, chosen at random; 0 for all.
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
    def run(self) -> Run:
        """What makes it this run: where and how many at a time do not."""
        system = {**asdict(self.choice), "settings": dict(self.choice.settings)}
        budget = asdict(self.budget)
        if budget.pop("second_look"):
            system["second_look"] = True  # where it is not asked for, the run is the same as one of before
        if self.replies:
            system["replies"] = self.replies
        return Run(asdict(self.dataset), system, budget, self.seed, self.limit, __version__)


@dataclass(frozen=True)
class Evaluated:
    """What came of it.

    Attributes:
        run: Which run it was.
        rows, measured: One for each sample that was answered, in the order of the dataset.
        skipped: What could not be used, in the order of the dataset.
        remarks: What is odd, each with its place.
    """

    run: Run
    rows: list[Row]
    measured: list[Measured]
    skipped: list[Skipped]
    remarks: list[str]

    @property
    def faults(self) -> bool:
        """Whether something was skipped for a fault in the data, or used though it is odd."""
        return bool(self.remarks) or any(skipped.fault for skipped in self.skipped)


Progress = Callable[[Row, int | None], None]
"""Told of every row, those of an earlier part of the run first, and how many there will be (None: not known)."""


def evaluate(
    plan: Plan, out: Path, progress: Progress | None = None, models: Callable[[], Models] | None = None
) -> Evaluated:
    """Run the agent on every sample that has no line in `out`/results.jsonl yet; blocks until all have one.

    Args:
        plan: What and how.
        out: Folder; made where it is missing.
        progress: Told of every row.
        models: Loads policy and segmenter; without, as `plan.choice` says. With workers it must be picklable.

    Raises:
        RunFailed: MODEL_UNAVAILABLE.
        ValueError: The dataset is none, or `out` holds another run.
        OSError: A file is not there or can't be written.
    """
    open_them = models if models is not None else partial(open_models, _without_policy(plan))
    with ExitStack() as stack:
        replies = None
        if plan.replies:
            replies = RecordedTraces(Path(plan.replies) / FILE)
            stack.callback(replies.close)
        chosen, total = _choose(plan)
        results = stack.enter_context(Results(out, plan.run))
        if progress is not None:
            for row in results.rows:
                progress(row, total)
        skipped: list[tuple[int, Skipped]] = []
        items = _work_items(plan.dataset, chosen, {row.id for row in results.rows}, skipped, replies)
        if plan.workers is not None:
            workers = replace(plan.workers, in_flight=plan.in_flight)
            lines = answer_on_workers(items, open_them, plan.budget, plan.seed, workers)
        else:
            loaded = stack.enter_context(open_them())
            answering = stack.enter_context(Answering(loaded, plan.budget, plan.seed))
            lines = _answer_here(items, answering, plan.in_flight)
        for line in lines:
            results.add(line)
            if progress is not None:
                progress(line.row, total)
        return evaluated(plan.run, results, [one for _, one in sorted(skipped, key=lambda pair: pair[0])])


def evaluated(run: Run, results: Results, skipped: list[Skipped]) -> Evaluated:
    """The results in the order of the dataset, whatever the order they came in."""
    order = sorted(range(len(results.rows)), key=lambda number: results.rows[number].index)
    rows = [results.rows[number] for number in order]
    return Evaluated(run, rows, [results.measured[number] for number in order], skipped, sorted(results.remarks))


def _without_policy(plan: Plan) -> Choice:
    """What to load: the policy need not be there where its replies are."""
    return replace(plan.choice, policy="reference", fallback_policy="") if plan.replies else plan.choice


def _choose(plan: Plan) -> tuple[set[int] | None, int | None]:
    """The indices of the samples (None: all), and how many they are (None: counting them would take as long)."""
    if plan.dataset.kind == "records" and not plan.limit:
        return None, None
    indices = [number for number, one in enumerate(list_examples(plan.dataset)) if isinstance(one, ExampleRef)]
    if not plan.limit or plan.limit >= len(indices):
        return None, len(indices)
    return set(random.Random(plan.seed).sample(indices, plan.limit)), plan.limit


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


def _answer_here(items: Iterator[WorkItem], answering: Answering, in_flight: int) -> Iterator[Line]:
    """The lines of all examples as they are finished, so many at a time."""
    with ThreadPoolExecutor(in_flight, thread_name_prefix="sample") as pool:
        running: set[Future[Line]] = set()
        while True:
            while len(running) < in_flight and (item := next(items, None)) is not None:
                running.add(pool.submit(answering.line, item))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()


def nothing_left(skipped: list[Skipped]) -> RunFailed:
    """Says why there is nothing to report."""
    first = f"; the first: {skipped[0].where}: {skipped[0].reason}" if skipped else ""
    return RunFailed(ErrorCode.INVALID_GOAL, f"no sample could be used, {len(skipped)} were skipped{first}")
