"""Two arms answer the judged goals: resumed, interrupted, judged anew, and with models that fail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import FINISH, SEGMENT, FakePolicy, FakeSegmenter, Slow
from shadow_cases import (
    ALSO_WRONG,
    HANGS,
    NO_MODEL,
    RAISES,
    RIGHT,
    SLOW,
    WRONG,
    arm,
    load_fakes,
    write_circles,
    write_goals,
)

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.backends import Choice, Models, open_models
from rsagent_ros.cli import main
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.writer import add_verdict
from rsagent_ros.scoring.score import Score
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.shadow.comparison import ROUND, Comparison, ProcessUnfit, WeightsChanged
from rsagent_ros.shadow.paired_result import PRESENT_GOALS, PairedResult

BUDGET = Budget(60.0)


class Answered:
    """The goals of a comparison as they are answered."""

    def __init__(self) -> None:
        self.goals: list[tuple[str, str]] = []
        self.loaded: list[int] = []

    def __call__(self, arm: str, score: Score) -> None:
        self.goals.append((arm, score.id))

    def load(self, choice: Choice) -> Models:
        self.loaded.append(choice.view_side)
        return load_fakes(choice)


def comparison(
    folder: Path,
    incumbent: int = WRONG,
    candidate: int = RIGHT,
    answered: Answered | None = None,
    load: Callable[[Choice], Models] | None = None,
    **more: Any,
) -> Comparison:
    answered = answered or Answered()
    arms = arm(incumbent), arm(candidate)
    options: dict[str, Any] = {"budget": BUDGET, "needed": 3, "on_goal": answered, **more}
    return Comparison(folder / "records", folder / "out", *arms, load=load or answered.load, **options)


def compare(folder: Path, incumbent: int = WRONG, candidate: int = RIGHT, **more: Any) -> PairedResult:
    with comparison(folder, incumbent, candidate, **more) as one:
        assert one.run(CancelToken())
        return one.result()


def test_the_better_candidate_is_promotable_and_the_worse_is_not(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", PRESENT_GOALS)
    better = compare(tmp_path)
    assert better.promotable
    assert (better.goals, better.candidate) == (PRESENT_GOALS, 1.0)
    assert better.low > 0
    worse = compare(tmp_path, RIGHT, WRONG)
    assert worse.gain == -better.gain
    assert not worse.promotable
    assert not compare(tmp_path, WRONG, ALSO_WRONG).promotable


def test_the_real_reference_policy_with_larger_pictures_is_better(tmp_path: Path) -> None:
    """No fakes: at 64 pixels it does not see the circle."""
    write_circles(tmp_path / "records", PRESENT_GOALS)
    arms = arm(64), CandidateModels()
    with Comparison(
        tmp_path / "records", tmp_path / "out", *arms, budget=BUDGET, needed=PRESENT_GOALS, load=open_models
    ) as one:  # fmt: skip
        assert one.run(CancelToken())
        assert one.result().promotable
        assert one.result().incumbent == pytest.approx(-0.2)  # "not in view" of what is there
        assert one.result().candidate > 0.8


def test_what_was_answered_is_not_answered_again(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    first, second, third = Answered(), Answered(), Answered()
    before = compare(tmp_path, answered=first)
    assert len(first.goals) == 6
    assert compare(tmp_path, answered=second) == before
    assert second.goals == second.loaded == []
    # Who was the candidate has its answers as incumbent, too.
    compare(tmp_path, RIGHT, ALSO_WRONG, answered=third)
    assert third.loaded == [ALSO_WRONG]
    # With another budget they might answer otherwise.
    again = Answered()
    compare(tmp_path, answered=again, budget=Budget(60.0, max_turns=3))
    assert len(again.goals) == 6


def test_one_arm_at_a_time_is_loaded_and_closed(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 2)
    opened: list[Models] = []

    class Counted(Models):
        closed = False

        def close(self) -> None:
            self.closed = True
            super().close()

    def load(choice: Choice) -> Models:
        assert all(one.closed for one in opened)  # type: ignore[attr-defined]
        opened.append(Counted(load_fakes(choice).policy, FakeSegmenter()))
        return opened[-1]

    compare(tmp_path, load=load)
    assert len(opened) == 2
    assert all(one.closed for one in opened)  # type: ignore[attr-defined]


def test_arms_take_turns_so_that_pairs_come_early(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", ROUND + 5)
    answered = Answered()
    told: list[PairedResult] = []
    compare(tmp_path, answered=answered, on_result=told.append)
    assert [name for name, _ in answered.goals[:ROUND]] == ["incumbent"] * ROUND
    assert [name for name, _ in answered.goals[ROUND : 2 * ROUND]] == ["candidate"] * ROUND
    assert ROUND in [result.goals for result in told]
    assert answered.goals[0][1] == f"g{ROUND + 4:03}"  # the newest first
    assert len(answered.loaded) <= 4


def test_new_goals_are_taken_in_while_it_runs(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 2)
    told: list[PairedResult] = []
    with comparison(tmp_path, on_result=told.append) as one:
        assert one.run(CancelToken())
        assert told[-1] == one.result()
        told.clear()
        assert one.run(CancelToken())
        assert told == []  # nothing new
        assert (one.result().goals, one.result().finished) == (2, True)
        write_goals(tmp_path / "records", 2, first=2)
        assert one.run(CancelToken())
        assert (one.result().goals, one.result().finished) == (4, True)


def test_a_goal_that_is_judged_anew_is_scored_again_and_not_answered_again(tmp_path: Path) -> None:
    paths = write_goals(tmp_path / "records", 3)
    answered = Answered()
    with comparison(tmp_path, answered=answered) as one:
        assert one.run(CancelToken())
        before = one.result()
        assert before.candidate == 1.0
        add_verdict(paths[0], Verdict("g000", "operator", False, absent=True, stamp_ns=2))
        assert one.run(CancelToken())
        assert one.result().candidate == pytest.approx((2 - 0.2) / 3)
    # Another process finds it as well, though the verdict came while nobody was there.
    add_verdict(paths[1], Verdict("g001", "operator", False, absent=True, stamp_ns=2))
    assert compare(tmp_path, answered=answered).candidate == pytest.approx((1 - 0.4) / 3)
    add_verdict(paths[1], Verdict("g001", "operator", True, absent=False, stamp_ns=3))
    assert compare(tmp_path, answered=answered).incumbent == pytest.approx((1 - 0.2 + before.incumbent) / 3)
    assert len(answered.goals) == 6


def test_goals_whose_record_is_gone_no_longer_count(tmp_path: Path) -> None:
    paths = write_goals(tmp_path / "records", 4)
    assert compare(tmp_path).goals == 4
    paths[0].unlink()
    assert compare(tmp_path).goals == 3


def test_a_pause_throws_the_episode_under_way_away(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    under_way, cancel = threading.Event(), CancelToken()

    class Waiting(FakePolicy):
        def open(self) -> Any:
            under_way.set()
            return super().open()

    def load(choice: Choice) -> Models:
        return Models(Waiting((SEGMENT, Slow(60.0, FINISH))), FakeSegmenter())

    answered = Answered()
    ended: list[bool] = []
    with comparison(tmp_path, answered=answered, load=load) as one:
        playing = threading.Thread(target=lambda: ended.append(one.run(cancel)))
        playing.start()
        assert under_way.wait(60)
        cancel.set()
        playing.join()
        assert ended == [False]
        assert one.result().goals == 0
    assert answered.goals == []
    assert compare(tmp_path).goals == 3


def test_a_cancelled_token_plays_nothing(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 1)
    cancel, answered = CancelToken(), Answered()
    cancel.set()
    with comparison(tmp_path, answered=answered) as one:
        assert not one.run(cancel)
    assert answered.loaded == []


def test_an_arm_that_can_not_be_loaded_is_named(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 1)
    with comparison(tmp_path, NO_MODEL, RIGHT) as one, pytest.raises(RunFailed, match="the incumbent can't be loaded"):
        one.run(CancelToken())
    with comparison(tmp_path, RIGHT, NO_MODEL) as one, pytest.raises(RunFailed, match=r"the candidate .* no weights"):
        one.run(CancelToken())


def test_a_failing_candidate_counts_and_a_fresh_process_is_asked_for(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    for _ in range(3):
        with (
            comparison(tmp_path, RIGHT, RAISES) as one,
            pytest.raises(ProcessUnfit, match=r"the candidate failed on goal g00.: fake_policy: ValueError"),
        ):
            one.run(CancelToken())
    result = compare(tmp_path, RIGHT, RAISES)
    assert (result.goals, result.candidate) == (3, 0.0)


@pytest.mark.parametrize("code", [ErrorCode.OUT_OF_MEMORY, ErrorCode.MODEL_UNAVAILABLE])
def test_a_full_gpu_or_a_lost_server_is_no_answer(tmp_path: Path, code: ErrorCode) -> None:
    write_goals(tmp_path / "records", 3)

    def load(choice: Choice) -> Models:
        return Models(FakePolicy((RunFailed(code, "no room"),)), FakeSegmenter())

    with comparison(tmp_path, load=load) as one:
        with pytest.raises(RunFailed, match="the incumbent could not answer: no room"):
            one.run(CancelToken())
        assert one.result().unanswered == 0
    assert compare(tmp_path).goals == 3


def test_a_fallback_does_not_answer(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 1)
    chosen: list[Choice] = []

    def load(choice: Choice) -> Models:
        chosen.append(choice)
        return load_fakes(Choice(view_side=RIGHT))

    candidate = CandidateModels(Choice("chat_server", fallback_policy="reference", settings={"chat_server.model": "m"}))
    with Comparison(tmp_path / "records", tmp_path / "out", arm(WRONG), candidate, load=load) as one:
        assert one.run(CancelToken())
    assert {choice.fallback_policy for choice in chosen} == {""}


def test_a_hang_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_goals(tmp_path / "records", 1)
    monkeypatch.setattr("rsagent_ros.shadow.comparison.SECONDS", 0.1)
    with comparison(tmp_path, HANGS, RIGHT, budget=Budget(0.1), grace=0.1) as one:
        with pytest.raises(ProcessUnfit, match="the incumbent hung on goal g000"):
            one.run(CancelToken())
        assert one.result().goals == one.result().unanswered == 0


def test_a_hang_of_the_candidate_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_goals(tmp_path / "records", 1)
    monkeypatch.setattr("rsagent_ros.shadow.comparison.SECONDS", 0.1)
    with comparison(tmp_path, RIGHT, HANGS, budget=Budget(0.1), grace=0.1) as one:
        with pytest.raises(ProcessUnfit, match="the candidate hung on goal g000"):
            one.run(CancelToken())
        result = one.result()
    assert (result.goals, result.incumbent, result.candidate) == (1, 1.0, 0.0)


def test_weights_that_are_written_anew_are_another_comparison(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    weights = tmp_path / "adapter.safetensors"
    weights.write_bytes(b"old")
    incumbent = arm(WRONG)
    candidate = CandidateModels(Choice("local", view_side=RIGHT, settings={"local.lora": str(weights)}))

    def begun() -> Comparison:
        return Comparison(
            tmp_path / "records", tmp_path / "out", incumbent, candidate, budget=BUDGET, needed=3, load=load_fakes
        )

    with begun() as one:
        assert one.run(CancelToken())
        before = one.result()
        weights.write_bytes(b"new weights")
        assert one.result().arms == before.arms  # it is still about the old ones
        with pytest.raises(WeightsChanged, match="the candidate's weights have changed: local"):
            one.run(CancelToken())
    with begun() as another:
        assert another.run(CancelToken())
        assert another.result().arms == (incumbent.fingerprint, candidate.fingerprint) != before.arms


def test_models_are_not_compared_with_themselves(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are the same"):
        comparison(tmp_path, RIGHT, RIGHT)


def test_two_comparisons_do_not_write_one_folder(tmp_path: Path) -> None:
    with comparison(tmp_path), pytest.raises(OSError, match="is being written by another process"):
        comparison(tmp_path)


def test_the_answers_are_two_runs_that_can_be_compared(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    with comparison(tmp_path) as one:
        assert one.run(CancelToken())
        folders = one.folders
    assert main(["compare", *map(str, folders), "--out", str(tmp_path / "both")]) == 0
    assert "g000" in (tmp_path / "both/index.html").read_text()


def test_the_candidate_has_the_robots_time_and_the_incumbent_all_the_time(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    slow = compare(tmp_path, WRONG, SLOW, budget=Budget(0.2))
    assert (slow.late, slow.candidate, slow.promotable) == (3, 0.0, False)
    assert slow.incumbent > 0
    assert compare(tmp_path, SLOW, WRONG, budget=Budget(0.2)).incumbent == 1.0
    # With more time the same answers are good enough.
    answered = Answered()
    assert compare(tmp_path, WRONG, SLOW, answered=answered).candidate == 1.0
    assert answered.goals == []
