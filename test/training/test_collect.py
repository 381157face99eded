"""Collecting scenes: only what somebody judged is a truth; everything that is dropped is counted; bad input is told."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import MALFORMED
from played import box, play, scene_of, square

from rsagent_ros.agent.actions import Action, Finish, ReportAbsent, Segment
from rsagent_ros.agent.geometry import Point
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import load_examples, save_examples
from rsagent_ros.data.ref import ExampleRef, Skipped, loaded
from rsagent_ros.records.record import Record, Verdict
from rsagent_ros.records.writer import RecordWriter
from rsagent_training.collect import _overruled, collect
from rsagent_training.data_commands import add_collect
from rsagent_training.jobs.filter_report import NothingLeft
from rsagent_training.trajectories import read_trajectories

ONE = scene_of(square(20, 20, 60, 60), name="one")
EXACT: list[Action | str] = [Segment(box=box(20, 20, 60, 60)), Finish((1,))]
OTHERWISE: list[Action | str] = [Segment(box=box(20, 20, 60, 60), positive=(Point(400, 400),)), Finish((1,))]


def record(name: str, script: list[Any], *verdicts: Verdict) -> tuple[Record, list[Verdict]]:
    trace = replace(play(ONE, script), goal_id=name, policy="reference", segmenter="classical")
    return Record(name, 1_000_000_000, "head", ONE.image, trace), [replace(one, goal_id=name) for one in verdicts]


def verdict(stamp: int = 1, *, accepted: bool = False, absent: bool = False, mask: Any = None) -> Verdict:
    return Verdict("", "operator", accepted, absent, mask, "", stamp)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    folder = tmp_path / "records"
    writer = RecordWriter(folder)
    for one, verdicts in [
        record("accepted", EXACT, verdict(accepted=True)),
        record("repaired", [MALFORMED, *EXACT], verdict(accepted=True)),
        record("corrected", OTHERWISE, verdict(mask=square(20, 20, 60, 61))),
        record("far-off", EXACT, verdict(mask=square(70, 70, 90, 90))),
        record("absent", EXACT, verdict(absent=True)),
        record("right-absent", [ReportAbsent("no")], verdict(accepted=True)),
        record("changed-mind", EXACT, verdict(1, accepted=True), verdict(2, absent=True)),
        record("rejected", EXACT, verdict()),
        record("not-judged", EXACT),
    ]:
        path = writer.write(one)
        for judged in verdicts:
            writer.add_verdict(path, judged)
    return folder


def command(*words: object) -> int:
    parser = argparse.ArgumentParser()
    add_collect(parser.add_subparsers())
    arguments = parser.parse_args(["collect", *map(str, words)])
    code: int = arguments.command(arguments)
    return code


def test_only_goals_with_a_verdict_are_a_truth(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path / "scenes", "--records", records) == 0
    assert "7 scenes of 9" in capsys.readouterr().out
    scenes = {scene.id: scene for scene in load_examples(tmp_path / "scenes")}
    assert {name: scene.expected for name, scene in scenes.items()} == {
        "accepted": Outcome.FOUND,
        "repaired": Outcome.FOUND,
        "corrected": Outcome.FOUND,
        "far-off": Outcome.FOUND,
        "absent": Outcome.NOT_IN_VIEW,
        "right-absent": Outcome.NOT_IN_VIEW,
        "changed-mind": Outcome.NOT_IN_VIEW,
    }
    np.testing.assert_array_equal(scenes["accepted"].masks[0], square(20, 20, 60, 60))
    np.testing.assert_array_equal(scenes["corrected"].masks[0], square(20, 20, 60, 61))
    np.testing.assert_array_equal(scenes["accepted"].image, ONE.image)
    dropped = json.loads((tmp_path / "scenes" / "report.json").read_text())["dropped"]
    assert sum(dropped["a truth"].values()) == 2


def test_the_robots_own_episodes_become_trajectories(records: Path, tmp_path: Path) -> None:
    assert command(tmp_path / "scenes", "--records", records, "--trajectories", tmp_path / "own") == 0
    own = {trajectory.scene_id: trajectory for _, trajectory in read_trajectories(tmp_path / "own")}
    # Those that were right: accepted, nearly as corrected, or rightly absent.
    assert set(own) == {"accepted", "repaired", "corrected", "right-absent"}
    assert own["repaired"].learn == (False, True, True)
    assert own["corrected"].iou == pytest.approx(40 / 41)
    assert own["accepted"].source == "record policy=reference segmenter=classical"
    report = json.loads((tmp_path / "own" / "report.json").read_text())
    assert report["entered"] == 7
    assert report["left"] == 4


def test_what_was_not_the_policys_last_word_is_not_learned(tmp_path: Path) -> None:
    (sent_back, verdicts) = record("sent-back", EXACT, verdict(accepted=True))
    segment, finish = sent_back.trace.turns
    objected = replace(finish, error_code="second_look", error_msg="it is not the thing")
    turns = (segment, objected, replace(finish, index=3))
    writer = RecordWriter(tmp_path / "records")
    path = writer.write(replace(sent_back, trace=replace(sent_back.trace, turns=turns)))
    writer.add_verdict(path, verdicts[0])
    assert command(tmp_path / "scenes", "--records", tmp_path / "records", "--trajectories", tmp_path / "own") == 0
    ((_, own),) = read_trajectories(tmp_path / "own")
    assert own.learn == (True, False, True)

    trace = record("doubted", EXACT)[0].trace
    assert not _overruled(replace(trace, calibrated=True))
    assert _overruled(replace(trace, calibrated=True, outcome=Outcome.AMBIGUOUS))  # a finish under min_confidence


def test_a_dataset_of_the_evaluation_is_collected(tmp_path: Path) -> None:
    save_examples([ONE, scene_of(name="none")], tmp_path / "from")
    assert command(tmp_path / "to", "--dataset", f"scenes:{tmp_path / 'from'}") == 0
    first, second = load_examples(tmp_path / "to")
    assert (first.id, first.instruction, first.expected) == (ONE.id, ONE.instruction, ONE.expected)
    np.testing.assert_array_equal(first.masks[0], ONE.masks[0])
    assert second.expected is Outcome.NOT_IN_VIEW


def test_the_simulator_is_collected(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="the simulator needs it")
    assert command(tmp_path / "scenes", "--simulate", 2, "--seed", 7, "--vocabulary", "plain") == 0
    assert len(list(load_examples(tmp_path / "scenes"))) == 2


# --- what is dropped


def listed(scene: Example, ignore: Any = None) -> ExampleRef:
    return loaded(replace(scene, ignore=ignore), f"somewhere, {scene.id}")


def broken() -> ExampleRef:
    def load() -> Example:
        raise ValueError("the file x.png is missing")

    return ExampleRef("broken", "rows.jsonl, line 3", load)


def test_every_sample_that_is_dropped_is_counted_with_its_reason(tmp_path: Path) -> None:
    listings: list[ExampleRef | Skipped] = [
        listed(ONE),
        listed(ONE),
        broken(),
        Skipped("x", "rows.jsonl, line 9", "not JSON"),
        Skipped("y", "rows.jsonl, line 10", "nobody gave a verdict on it", fault=False),
        listed(scene_of(square(0, 0, 9, 9), name="blurred"), ignore=square(0, 0, 90, 90)),
        listed(scene_of(square(0, 0, 9, 9), name="sharp"), ignore=square(99, 99, 100, 100)),
    ]
    filters = collect(listings, tmp_path)
    assert filters.to_json() == {
        "entered": 7,
        "dropped": {
            "one id, one scene": {"its id is that of somewhere, one": 1},
            "readable": {
                "not JSON": 1,
                "rows.jsonl, line 3: the file x.png is missing": 1,
                "somewhere, blurred: more than 1 % of its pixels are to be ignored": 1,
            },
            "a truth": {"nobody gave a verdict on it": 1},
        },
        "left": 2,
    }
    assert [scene.id for scene in load_examples(tmp_path)] == ["one", "sharp"]


def test_a_part_is_drawn_by_seed(tmp_path: Path) -> None:
    def listings() -> Iterator[ExampleRef]:
        return (listed(scene_of(square(0, 0, 9, 9), name=f"s{number}")) for number in range(9))

    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert collect(listings(), tmp_path / name, most=3, seed=seed).left == 3
    drawn = [[scene.id for scene in load_examples(tmp_path / name)] for name in "abc"]
    assert drawn[0] == drawn[1] != drawn[2]


def test_no_scene_at_all_is_an_error_that_names_what_dropped_them(tmp_path: Path) -> None:
    unjudged = Skipped("y", "goal 1", "nobody gave a verdict on it", fault=False)
    with pytest.raises(NothingLeft, match=r"no scenes are left of 1: the filter 'a truth' .*nobody gave a verdict"):
        collect([unjudged], tmp_path / "a")
    with pytest.raises(NothingLeft, match="'readable' dropped the last of them"):
        collect([broken()], tmp_path / "b")
    assert not (tmp_path / "b" / "scenes.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "there is nothing to collect from; give --records, --dataset or --simulate"),
        (("--dataset", "scenes"), "--dataset 'scenes' must be KIND:PATH or KIND:PATH:SPLIT"),
        (("--dataset", "coco:/x"), "there is no dataset 'coco'; choose one of"),
        (("--dataset", "scenes:nowhere"), "scenes.jsonl is missing"),
        (("--records", "nowhere"), "nowhere: there are no records"),
        (("--simulate", "1", "--trajectories", "t"), "--trajectories are of one place of records"),
    ],
)
def test_bad_usage_is_one_sentence(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert command("scenes", *words) == 1
    assert message in capsys.readouterr().err


def test_nothing_is_overwritten(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path / "scenes", "--records", records) == 0
    assert command(tmp_path / "scenes", "--records", records) == 1
    assert "exists already, not overwriting" in capsys.readouterr().err
