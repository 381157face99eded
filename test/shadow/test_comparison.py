"""Two sides play the judged goals: resumed, interrupted, judged anew, and with models that fail."""

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
    load_fakes,
    side,
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
from rsagent_ros.shadow.candidate import Candidate
from rsagent_ros.shadow.comparison import ROUND, Changed, Contest, Spoiled
from rsagent_ros.shadow.paired_result import Standing

BUDGET = Budget(60.0)


class Played:
    """A contest's goals as they are played."""

    def __init__(self) -> None:
        self.goals: list[tuple[str, str]] = []
        self.loaded: list[int] = []

    def __call__(self, side: str, score: Score) -> None:
        self.goals.append((side, score.id))

    def load(self, choice: Choice) -> Models:
        self.loaded.append(choice.view_side)
        return load_fakes(choice)


def contest(
    folder: Path,
    incumbent: int = WRONG,
    candidate: int = RIGHT,
    played: Played | None = None,
    load: Callable[[Choice], Models] | None = None,
    **more: Any,
) -> Contest:
    played = played or Played()
    sides = side(incumbent), side(candidate)
    options: dict[str, Any] = {"budget": BUDGET, "needed": 3, "on_goal": played, **more}
    return Contest(folder / "records", folder / "out", *sides, load=load or played.load, **options)


def stand(folder: Path, incumbent: int = WRONG, candidate: int = RIGHT, **more: Any) -> Standing:
    with contest(folder, incumbent, candidate, **more) as one:
        assert one.play(CancelToken())
        return one.standing()


def test_the_better_candidate_is_promotable_and_the_worse_is_not(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 5)
    better = stand(tmp_path)
    assert better.promotable
    assert (better.goals, better.candidate) == (5, 1.0)
    assert better.low > 0
    worse = stand(tmp_path, RIGHT, WRONG)
    assert worse.gain == -better.gain
    assert not worse.promotable
    assert not stand(tmp_path, WRONG, ALSO_WRONG).promotable


def test_the_real_reference_policy_with_larger_pictures_is_better(tmp_path: Path) -> None:
    """No fakes: at 64 pixels it does not see the circle."""
    write_circles(tmp_path / "records", 4)
    sides = side(64), Candidate()
    with Contest(
        tmp_path / "records", tmp_path / "out", *sides, budget=BUDGET, needed=4, load=open_models
    ) as one:  # fmt: skip
        assert one.play(CancelToken())
        assert one.standing().promotable
        assert one.standing().incumbent == 0.0
        assert one.standing().candidate > 0.8


def test_what_was_answered_is_not_played_again(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    first, second, third = Played(), Played(), Played()
    before = stand(tmp_path, played=first)
    assert len(first.goals) == 6
    assert stand(tmp_path, played=second) == before
    assert second.goals == second.loaded == []
    # Who was the candidate has its answers as incumbent, too.
    stand(tmp_path, RIGHT, ALSO_WRONG, played=third)
    assert third.loaded == [ALSO_WRONG]
    # With another budget they might answer otherwise.
    again = Played()
    stand(tmp_path, played=again, budget=Budget(60.0, max_turns=3))
    assert len(again.goals) == 6


def test_one_side_at_a_time_is_loaded_and_closed(tmp_path: Path) -> None:
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

    stand(tmp_path, load=load)
    assert len(opened) == 2
    assert all(one.closed for one in opened)  # type: ignore[attr-defined]


def test_sides_take_turns_so_that_pairs_come_early(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", ROUND + 5)
    played = Played()
    told: list[Standing] = []
    stand(tmp_path, played=played, on_standing=told.append)
    assert [name for name, _ in played.goals[:ROUND]] == ["incumbent"] * ROUND
    assert [name for name, _ in played.goals[ROUND : 2 * ROUND]] == ["candidate"] * ROUND
    assert ROUND in [standing.goals for standing in told]
    assert played.goals[0][1] == f"g{ROUND + 4:03}"  # the newest first
    assert len(played.loaded) <= 4


def test_new_goals_are_taken_in_while_it_runs(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 2)
    told: list[Standing] = []
    with contest(tmp_path, on_standing=told.append) as one:
        assert one.play(CancelToken())
        assert told[-1] == one.standing()
        told.clear()
        assert one.play(CancelToken())
        assert told == []  # nothing new
        assert (one.standing().goals, one.standing().promotable) == (2, False)
        write_goals(tmp_path / "records", 2, first=2)
        assert one.play(CancelToken())
        assert (one.standing().goals, one.standing().promotable) == (4, True)


def test_a_goal_that_is_judged_anew_is_scored_again_and_not_played_again(tmp_path: Path) -> None:
    paths = write_goals(tmp_path / "records", 3)
    played = Played()
    with contest(tmp_path, played=played) as one:
        assert one.play(CancelToken())
        before = one.standing()
        assert before.candidate == 1.0
        add_verdict(paths[0], Verdict("g000", "operator", False, absent=True, stamp_ns=2))
        assert one.play(CancelToken())
        assert one.standing().candidate == pytest.approx(2 / 3)
    # Another process finds it as well, though the verdict came while nobody was there.
    add_verdict(paths[1], Verdict("g001", "operator", False, absent=True, stamp_ns=2))
    assert stand(tmp_path, played=played).candidate == pytest.approx(1 / 3)
    add_verdict(paths[1], Verdict("g001", "operator", True, absent=False, stamp_ns=3))
    assert stand(tmp_path, played=played).incumbent == pytest.approx((1 + before.incumbent) / 3)
    assert len(played.goals) == 6


def test_goals_whose_record_is_gone_no_longer_count(tmp_path: Path) -> None:
    paths = write_goals(tmp_path / "records", 4)
    assert stand(tmp_path).goals == 4
    paths[0].unlink()
    assert stand(tmp_path).goals == 3


def test_a_pause_throws_the_episode_under_way_away(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    under_way, cancel = threading.Event(), CancelToken()

    class Waiting(FakePolicy):
        def open(self) -> Any:
            under_way.set()
            return super().open()

    def load(choice: Choice) -> Models:
        return Models(Waiting((SEGMENT, Slow(60.0, FINISH))), FakeSegmenter())

    played = Played()
    ended: list[bool] = []
    with contest(tmp_path, played=played, load=load) as one:
        playing = threading.Thread(target=lambda: ended.append(one.play(cancel)))
        playing.start()
        assert under_way.wait(60)
        cancel.set()
        playing.join()
        assert ended == [False]
        assert one.standing().goals == 0
    assert played.goals == []
    assert stand(tmp_path).goals == 3


def test_a_cancelled_token_plays_nothing(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 1)
    cancel, played = CancelToken(), Played()
    cancel.set()
    with contest(tmp_path, played=played) as one:
        assert not one.play(cancel)
    assert played.loaded == []


def test_a_side_that_can_not_be_loaded_is_named(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 1)
    with contest(tmp_path, NO_MODEL, RIGHT) as one, pytest.raises(RunFailed, match="the incumbent can't be loaded"):
        one.play(CancelToken())
    with contest(tmp_path, RIGHT, NO_MODEL) as one, pytest.raises(RunFailed, match=r"the candidate .* no weights"):
        one.play(CancelToken())


def test_a_failing_candidate_counts_and_a_fresh_process_is_asked_for(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    for _ in range(3):
        with (
            contest(tmp_path, RIGHT, RAISES) as one,
            pytest.raises(Spoiled, match=r"the candidate failed on goal g00.: fake_policy: ValueError"),
        ):
            one.play(CancelToken())
    standing = stand(tmp_path, RIGHT, RAISES)
    assert (standing.goals, standing.candidate) == (3, 0.0)


@pytest.mark.parametrize("code", [ErrorCode.OUT_OF_MEMORY, ErrorCode.MODEL_UNAVAILABLE])
def test_a_full_gpu_or_a_lost_server_is_no_answer(tmp_path: Path, code: ErrorCode) -> None:
    write_goals(tmp_path / "records", 3)

    def load(choice: Choice) -> Models:
        return Models(FakePolicy((RunFailed(code, "no room"),)), FakeSegmenter())

    with contest(tmp_path, load=load) as one:
        with pytest.raises(RunFailed, match="the incumbent could not play: no room"):
            one.play(CancelToken())
        assert one.standing().unanswered == 0
    assert stand(tmp_path).goals == 3


def test_a_fallback_does_not_play(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 1)
    chosen: list[Choice] = []

    def load(choice: Choice) -> Models:
        chosen.append(choice)
        return load_fakes(Choice(view_side=RIGHT))

    candidate = Candidate(Choice("chat_server", fallback_policy="reference", settings={"chat_server.model": "m"}))
    with Contest(tmp_path / "records", tmp_path / "out", side(WRONG), candidate, load=load) as one:
        assert one.play(CancelToken())
    assert {choice.fallback_policy for choice in chosen} == {""}


def test_a_hang_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_goals(tmp_path / "records", 1)
    monkeypatch.setattr("rsagent_ros.shadow.comparison.SECONDS", 0.1)
    with contest(tmp_path, HANGS, RIGHT, budget=Budget(0.1), grace=0.1) as one:
        with pytest.raises(Spoiled, match="the incumbent hung while it played goal g000"):
            one.play(CancelToken())
        assert one.standing().goals == one.standing().unanswered == 0


def test_a_hang_of_the_candidate_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_goals(tmp_path / "records", 1)
    monkeypatch.setattr("rsagent_ros.shadow.comparison.SECONDS", 0.1)
    with contest(tmp_path, RIGHT, HANGS, budget=Budget(0.1), grace=0.1) as one:
        with pytest.raises(Spoiled, match="the candidate hung while it played goal g000"):
            one.play(CancelToken())
        standing = one.standing()
    assert (standing.goals, standing.incumbent, standing.candidate) == (1, 1.0, 0.0)


def test_weights_that_are_written_anew_are_another_contest(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    weights = tmp_path / "adapter.safetensors"
    weights.write_bytes(b"old")
    incumbent = side(WRONG)
    candidate = Candidate(Choice("local", view_side=RIGHT, settings={"local.lora": str(weights)}))

    def begun() -> Contest:
        return Contest(
            tmp_path / "records", tmp_path / "out", incumbent, candidate, budget=BUDGET, needed=3, load=load_fakes
        )

    with begun() as one:
        assert one.play(CancelToken())
        before = one.standing()
        weights.write_bytes(b"new weights")
        assert one.standing().sides == before.sides  # it is still about the old ones
        with pytest.raises(Changed, match="the candidate's weights have changed: local"):
            one.play(CancelToken())
    with begun() as another:
        assert another.play(CancelToken())
        assert another.standing().sides == (incumbent.fingerprint, candidate.fingerprint) != before.sides


def test_nobody_plays_against_himself(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are the same"):
        contest(tmp_path, RIGHT, RIGHT)


def test_two_contests_do_not_write_one_folder(tmp_path: Path) -> None:
    with contest(tmp_path), pytest.raises(OSError, match="is being written by another process"):
        contest(tmp_path)


def test_the_answers_are_two_runs_that_can_be_compared(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    with contest(tmp_path) as one:
        assert one.play(CancelToken())
        folders = one.folders
    assert main(["compare", *map(str, folders), "--out", str(tmp_path / "both")]) == 0
    assert "g000" in (tmp_path / "both/index.html").read_text()


def test_the_candidate_has_the_robots_time_and_the_incumbent_all_the_time(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    slow = stand(tmp_path, WRONG, SLOW, budget=Budget(0.2))
    assert (slow.late, slow.candidate, slow.promotable) == (3, 0.0, False)
    assert slow.incumbent > 0
    assert stand(tmp_path, SLOW, WRONG, budget=Budget(0.2)).incumbent == 1.0
    # With more time the same answers are good enough.
    played = Played()
    assert stand(tmp_path, WRONG, SLOW, played=played).promotable
    assert played.goals == []
