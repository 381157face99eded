"""The evaluator: every sample counts, whatever happens to it; runs go on, and repeat to the bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_cases import fake_models, image, write_drawn, write_image, write_scenes
from fakes import ABSENT, FINISH, NO, SEGMENT, FakeConversation, FakePolicy, FakeSegmenter, Hang, Step

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.turn import Trace
from rsagent_ros.backends import Choice, Models
from rsagent_ros.data.ref import ExampleRef
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.evaluation.answering import MAX_HUNG, Answering, WorkItem
from rsagent_ros.evaluation.evaluator import Evaluated, EvaluationConfig, evaluate
from rsagent_ros.evaluation.report.tables import scores_csv
from rsagent_ros.evaluation.results import FILE, ExampleResult, read_results
from rsagent_ros.scoring.metrics import values

BUDGET = Budget(seconds=60.0)


def plan(folder: Path, **more: Any) -> EvaluationConfig:
    return EvaluationConfig(Dataset("scenes", str(folder)), Choice(), BUDGET, **more)


def run(folder: Path, out: Path, script: Sequence[Step] = (SEGMENT, FINISH), **more: Any) -> Evaluated:
    policy = FakePolicy(script, count_tokens=True)
    return evaluate(plan(folder, **more), out, models=lambda: fake_models(policy))


class Outvoted(FakePolicy):
    """Finds something in the first attempt at an example, and nothing in the next two."""

    def __init__(self) -> None:
        super().__init__([ABSENT], count_tokens=True)

    def open(self) -> FakeConversation:
        conversation = super().open()
        return conversation if (self.opened - 1) % 3 else FakeConversation(self, [], [SEGMENT, FINISH])


def timeless(trace: Trace | None) -> Trace:
    """A trace without what is measured."""
    assert trace is not None
    turns = tuple(
        replace(
            turn,
            reply_seconds=0.0,
            tool_seconds=0.0,
            second_looks=tuple(replace(look, reply_seconds=0.0) for look in turn.second_looks),
        )
        for turn in trace.turns
    )
    return replace(trace, turns=turns, seconds=0.0, attempts=tuple(map(timeless, trace.attempts)))


def deterministic(out: Path) -> list[tuple[Any, ...]]:
    """All that must not differ between two runs, in the order of the dataset."""
    lines = sorted(read_results(out / FILE)[1], key=lambda result: result.score.index)
    return [(line.score, line.mask, timeless(line.whole_trace())) for line in lines]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), 9)


def test_every_sample_has_a_row(scenes: Path, tmp_path: Path) -> None:
    found = run(scenes, tmp_path)
    assert [score.index for score in found.scores] == list(range(9))
    assert [score.expected is Outcome.NOT_IN_VIEW for score in found.scores] == [False, False, True] * 3
    for score in found.scores:
        if score.present:
            # FakePolicy finds x 20..60, y 15..45; the truth begins `index` further to the right.
            assert score.iou == pytest.approx((40 - score.index) / (40 + score.index)), score.id
        else:
            assert score.iou == 0
        assert (score.turns, score.tool_calls, score.first_iou) == (2, 1, score.iou if score.present else None)
        assert score.sampled_tokens > 0
        assert score.confidence is not None
    assert not found.faults


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ((ValueError("a fault that was injected"),), "POLICY_FAILED"),
        ((RunFailed(ErrorCode.OUT_OF_MEMORY, "fake: full"),), "OUT_OF_MEMORY"),
        ((SEGMENT, MemoryError()), "OUT_OF_MEMORY"),
    ],
)
def test_failures_count_with_nothing_and_keep_their_code(
    scenes: Path, tmp_path: Path, script: Sequence[Step], code: str
) -> None:
    found = run(scenes, tmp_path, script)
    assert len(found.scores) == 9
    assert {score.error_code for score in found.scores} == {code}
    assert {score.iou for score in found.scores} == {0.0}
    assert values(found.scores)["giou"] == values(found.scores)["ciou"] == values(found.scores)["n_acc"] == 0


def test_segmenter_faults_and_bad_replies(scenes: Path, tmp_path: Path) -> None:
    models = fake_models(segmenter=FakeSegmenter("raises"))
    found = evaluate(plan(scenes), tmp_path / "a", models=lambda: models)
    assert {score.error_code for score in found.scores} == {"SEGMENTER_FAILED"}
    found = run(scenes, tmp_path / "b", ("no call",))
    assert {(score.outcome, score.error_code, score.bad_replies) for score in found.scores} == {
        (Outcome.GAVE_UP, "TURNS_SPENT", 8)
    }


def test_an_episode_that_cannot_begin_is_a_failure_too(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", image())
    (tmp_path / "truth.jsonl").write_text('{"id": "a", "image": "a.png", "instruction": "' + "x" * 3000 + '"}\n')
    found = evaluate(
        EvaluationConfig(Dataset("masks", str(tmp_path)), Choice(), BUDGET), tmp_path / "out", models=fake_models
    )
    (score,) = found.scores
    assert (score.outcome, score.error_code, score.iou) == (Outcome.FAILED, "INVALID_GOAL", 0)


def test_faults_in_the_data_are_listed_and_the_rest_is_run(scenes: Path, tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "data", 5)
    (folder / "images/s001.png").write_bytes(b"")
    rows = (folder / "scenes.jsonl").read_text().splitlines()
    (folder / "scenes.jsonl").write_text("\n".join([*rows[:3], "{", rows[0], *rows[3:]]) + "\n")
    for out in ("out", "out"):  # the second time it only goes on, and says the same
        found = run(folder, tmp_path / out)
        assert [score.id for score in found.scores] == ["s000", "s002", "s003", "s004"]
        assert [(one.id, one.where.rpartition(" ")[2]) for one in found.skipped] == [
            ("s001", "2"),
            ("", "4"),
            ("s000", "5"),
        ]
        assert found.faults


def test_several_at_a_time_give_the_same_to_the_bit(scenes: Path, tmp_path: Path) -> None:
    one, many = run(scenes, tmp_path / "one"), run(scenes, tmp_path / "many", in_flight=4)
    assert scores_csv(one.scores) == scores_csv(many.scores)
    assert deterministic(tmp_path / "one") == deterministic(tmp_path / "many")


def test_no_more_than_asked_are_in_flight(scenes: Path, tmp_path: Path) -> None:
    most, now, lock = 0, 0, threading.Lock()

    class Counting(FakePolicy):
        def open(self) -> FakeConversation:
            nonlocal most, now
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.02)
            with lock:
                now -= 1
            return super().open()

    evaluate(plan(scenes, in_flight=3), tmp_path, models=lambda: fake_models(Counting()))
    assert most == 3


def test_a_limit_draws_with_the_seed(scenes: Path, tmp_path: Path) -> None:
    first = [score.id for score in run(scenes, tmp_path / "a", limit=4, seed=1).scores]
    assert len(first) == 4
    assert first == [score.id for score in run(scenes, tmp_path / "b", limit=4, seed=1).scores]
    assert first != [score.id for score in run(scenes, tmp_path / "c", limit=4, seed=5).scores]


class Sampling(FakePolicy):
    """Segments a random box."""

    def open(self, seed: int | None = None) -> FakeConversation:
        random = np.random.default_rng(seed)
        x, y = random.integers(0, 500, 2)
        text = SEGMENT.replace("[250, 250, 750, 750]", f"[{x}, {y}, {x + 400}, {y + 400}]")
        assert text != SEGMENT
        return FakePolicy([text, FINISH], remember=False).open()


def test_a_policy_that_samples_does_so_by_the_seed_and_the_sample(scenes: Path, tmp_path: Path) -> None:
    def sampled(out: str, **more: Any) -> str:
        return scores_csv(evaluate(plan(scenes, **more), tmp_path / out, models=lambda: fake_models(Sampling())).scores)

    first = sampled("a", seed=1)
    assert first == sampled("b", seed=1, in_flight=4)
    assert first != sampled("c", seed=2)


def test_recorded_replies_repeat_a_run_to_the_bit(scenes: Path, tmp_path: Path) -> None:
    evaluate(plan(scenes), tmp_path / "server", models=lambda: fake_models(Sampling()))  # another answer every time
    repeated = plan(scenes, replies=str(tmp_path / "server"), in_flight=3)
    nobody = FakePolicy([AssertionError("the policy was asked")])
    evaluate(repeated, tmp_path / "again", models=lambda: fake_models(nobody))
    assert deterministic(tmp_path / "server") == deterministic(tmp_path / "again")


def test_second_looks_are_another_run_and_repeat_with_its_replies(scenes: Path, tmp_path: Path) -> None:
    looking = replace(plan(scenes), budget=replace(BUDGET, second_look=True))
    policy = FakePolicy([SEGMENT, FINISH], count_tokens=True, looks=[NO])
    found = evaluate(looking, tmp_path / "looking", models=lambda: fake_models(policy))
    assert {score.turns for score in found.scores} == {3}
    run(scenes, tmp_path / "plain")
    assert "second_look" not in (tmp_path / "plain" / FILE).read_text().splitlines()[0]
    with pytest.raises(ValueError, match="of another run"):
        evaluate(plan(scenes), tmp_path / "looking", models=fake_models)
    assert sum(score.sampled_tokens for score in found.scores) == 9 * sum(
        len(text.split()) for text in (SEGMENT, FINISH, NO, FINISH)
    )
    nobody = FakePolicy([AssertionError("the policy was asked")])
    evaluate(plan(scenes, replies=str(tmp_path / "looking")), tmp_path / "again", models=lambda: fake_models(nobody))
    assert deterministic(tmp_path / "looking") == deterministic(tmp_path / "again")


def test_votes_are_another_run_and_repeat_with_its_replies(scenes: Path, tmp_path: Path) -> None:
    voting = replace(plan(scenes, limit=3), budget=replace(BUDGET, votes=3))
    found = evaluate(voting, tmp_path / "voting", models=lambda: fake_models(Outvoted()))
    assert {score.outcome for score in found.scores} == {Outcome.NOT_IN_VIEW}
    settings = (tmp_path / "voting" / FILE).read_text().splitlines()[0]
    assert '"votes":3' in settings.replace(" ", "")
    run(scenes, tmp_path / "plain", limit=3)
    assert "votes" not in (tmp_path / "plain" / FILE).read_text().splitlines()[0]
    _, lines = read_results(tmp_path / "voting" / FILE)
    traces = [trace for line in lines if (trace := line.whole_trace()) is not None]
    assert [(len(trace.attempts), trace.votes) for trace in traces] == [(2, (2, 1, 1))] * 3
    tokens = sum(len(text.split()) for text in (SEGMENT, FINISH, ABSENT, ABSENT))
    assert {score.sampled_tokens for score in found.scores} == {tokens}
    nobody = FakePolicy([AssertionError("the policy was asked")])
    again = plan(scenes, replies=str(tmp_path / "voting"), limit=3)
    evaluate(again, tmp_path / "again", models=lambda: fake_models(nobody))
    assert deterministic(tmp_path / "voting") == deterministic(tmp_path / "again")


def test_recorded_failures_are_repeated_too(scenes: Path, tmp_path: Path) -> None:
    evaluate(plan(scenes), tmp_path / "a", models=lambda: fake_models(FakePolicy([SEGMENT, ValueError("lost")])))
    evaluate(plan(scenes, replies=str(tmp_path / "a")), tmp_path / "b", models=fake_models)
    assert deterministic(tmp_path / "a") == deterministic(tmp_path / "b")


def test_a_sample_without_recorded_replies_is_skipped(scenes: Path, tmp_path: Path) -> None:
    run(scenes, tmp_path / "few", limit=4)
    found = evaluate(plan(scenes, replies=str(tmp_path / "few")), tmp_path / "all", models=fake_models)
    assert len(found.scores) == 4
    assert len(found.skipped) == 5


def items(scenes: Path) -> list[WorkItem]:
    listed = [one for one in list_examples(Dataset("scenes", str(scenes))) if isinstance(one, ExampleRef)]
    return [WorkItem(index, one.load(), one.where) for index, one in enumerate(listed)]


def test_a_hung_call_is_given_up_with_the_best_mask_and_the_run_goes_on(scenes: Path) -> None:
    policy = FakePolicy([SEGMENT, Hang()])
    answering = Answering(Models(policy, FakeSegmenter()), Budget(seconds=0.05), seed=0, grace=0.1)
    for item in items(scenes)[: MAX_HUNG + 1]:
        score = answering.result(item).score
        assert (score.outcome, score.error_code, score.partial) == (Outcome.GAVE_UP, "TIME_SPENT", True)
        assert score.masked
    with pytest.raises(RunFailed, match="hang"):
        answering.result(items(scenes)[0])
    policy.release.set()


def test_one_thread_does_one_after_the_other(scenes: Path) -> None:
    """What a compiled model keeps is bound to its thread."""
    threads = set()

    class Watching(FakePolicy):
        def open(self) -> FakeConversation:
            threads.add(threading.get_ident())
            return super().open()

    answering = Answering(Models(Watching(), FakeSegmenter()), BUDGET, seed=0)
    for item in items(scenes):
        answering.result(item)
    assert len(threads) == 1


def test_progress_counts_what_an_earlier_part_did(scenes: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int | None]] = []
    stop_after(4, scenes, tmp_path)
    evaluate(plan(scenes), tmp_path, lambda score, total: told.append((score.id, total)), fake_models)
    assert [name for name, _ in told] == [f"s{number:03}" for number in range(9)]
    assert {total for _, total in told} == {9}


def stop_after(count: int, scenes: Path, out: Path) -> None:
    """A run that is interrupted."""

    def interrupt(score: Any, total: int | None) -> None:
        if score.index == count - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(plan(scenes), out, interrupt, fake_models)


def test_an_interrupted_run_goes_on_without_asking_again(scenes: Path, tmp_path: Path) -> None:
    stop_after(4, scenes, tmp_path / "a")
    policy = FakePolicy(count_tokens=True)
    evaluate(plan(scenes), tmp_path / "a", models=lambda: fake_models(policy))
    assert len(policy.heard) == 5
    run(scenes, tmp_path / "b")
    assert deterministic(tmp_path / "a") == deterministic(tmp_path / "b")


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from evaluation_cases import fake_models
from fakes import FakePolicy
from rsagent_ros.agent.budget import Budget
from rsagent_ros.backends import Choice
from rsagent_ros.datasets import Dataset
from rsagent_ros.evaluation.evaluator import EvaluationConfig, evaluate

class Slowly(FakePolicy):
    def open(self):
        time.sleep(0.03)
        return super().open()

plan = EvaluationConfig(Dataset("scenes", sys.argv[1]), Choice(), Budget(seconds=60.0), in_flight=2)
evaluate(plan, Path(sys.argv[2]), models=lambda: fake_models(Slowly(count_tokens=True)))
"""


@pytest.mark.parametrize("lines", [2, 6])
def test_a_run_that_is_killed_loses_and_repeats_nothing(tmp_path: Path, lines: int) -> None:
    folder, out = write_scenes(tmp_path / "scenes", 30), tmp_path / "out"
    here = str(Path(__file__).resolve().parents[1] / "support")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder), str(out), here])
    try:
        wait_for(lambda: (out / FILE).is_file() and (out / FILE).read_bytes().count(b"\n") > lines, process)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    kept = [line.score.id for line in read_results(out / FILE)[1]]
    assert lines <= len(kept) < 30
    policy = FakePolicy(count_tokens=True)
    found = evaluate(plan(folder, in_flight=2), out, models=lambda: fake_models(policy))
    assert len(policy.heard) == 30 - len(kept)
    ids = [line.score.id for line in read_results(out / FILE)[1]]
    assert ids[: len(kept)] == kept
    assert sorted(ids) == [score.id for score in found.scores] == [f"s{number:03}" for number in range(30)]
    run(folder, tmp_path / "whole")
    assert deterministic(out) == deterministic(tmp_path / "whole")


def wait_for(there: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_reference_agent_on_a_drawn_scene(tmp_path: Path) -> None:
    """Nothing fake: the real policy and segmenter, loaded by name."""
    found = evaluate(EvaluationConfig(Dataset("masks", str(write_drawn(tmp_path))), Choice(), BUDGET), tmp_path / "out")
    assert [str(score.outcome) for score in found.scores] == ["found", "not_in_view"]
    assert found.scores[0].iou > 0.9
    assert found.scores[1].iou == 1


def test_plans_that_cannot_be() -> None:
    for more in ({"in_flight": 0}, {"limit": -1}):
        with pytest.raises(ValueError, match="in flight"):
            plan(Path("x"), **more)


def test_lines_hold_whole_traces(scenes: Path, tmp_path: Path) -> None:
    run(scenes, tmp_path, (Reply(ABSENT, token_ids=(1, 2), logprobs=(-0.1, -0.2)),))
    lines: list[ExampleResult] = list(read_results(tmp_path / FILE)[1])
    trace = lines[0].whole_trace()
    assert trace is not None
    assert (trace.goal_id, trace.turns[0].token_ids, trace.policy) == ("s000", (1, 2), "fake_policy")
