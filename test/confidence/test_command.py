"""`rsagent calibrate`: from a results.jsonl as the evaluator writes it to a calibration that loads."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from fakes import ABSENT, AMBIGUOUS, CAN_NOT_TELL, FINISH, SEGMENT, SEGMENT_LEFT, FakePolicy, FakeSegmenter

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.confidence import load
from rsagent_ros.confidence.command import add_command
from rsagent_ros.confidence.judged import judged
from rsagent_ros.data.example import Example
from rsagent_ros.evaluation.results import FILE, ExampleResult, Measured, Results, RunSettings
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import score

FRAME = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def trace_of(*script: str, sure: float = 0.9) -> Trace:
    episode = Episode(FRAME, "the middle", FakeSegmenter(score=sure), policy_name="fake_policy")
    drive(episode, FakePolicy(list(script)))
    return episode.trace


def evaluated(folder: Path, count: int = 60) -> Path:
    """A run whose answers are right where the segmenter was sure, but for one in ten; and some without a mask."""
    run = RunSettings(dataset={"kind": "scenes"}, system={"policy": "fake_policy"})
    with Results(folder, run) as results:
        for index in range(count):
            sure = index % 2 == 0
            trace = trace_of(SEGMENT, FINISH, sure=0.95 if sure else 0.6)
            mask = trace.mask(1)
            assert mask is not None
            right = sure != (index % 10 == 0)
            truth = Example(f"scene-{index}", FRAME, "the middle", Outcome.FOUND, (mask if right else ~mask,))
            row = score(prediction_of(trace), truth, index=index)
            results.add(ExampleResult(row, Measured(), None, (), msgspec.Raw(trace.to_json().encode())))
        absent = trace_of(ABSENT)
        truth = Example("absent", FRAME, "the middle", Outcome.NOT_IN_VIEW)
        row = score(prediction_of(absent), truth, index=count)
        results.add(ExampleResult(row, Measured(), None, (), msgspec.Raw(absent.to_json().encode())))
        results.add(
            ExampleResult(replace(row, id="a-mask-of-another-system"), Measured(), None, (), msgspec.Raw(b"null"))
        )
    return folder / FILE


def calibrated(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers())
    options = parser.parse_args(["calibrate", *arguments])
    return int(options.command(options))


def test_answers_with_a_mask_and_a_trace_are_judged(tmp_path: Path) -> None:
    answers = list(judged(evaluated(tmp_path / "run")))
    assert len(answers) == 60
    assert {(answer.policy, answer.segmenter) for answer in answers} == {("fake_policy", "fake_segmenter")}
    assert [answer.right for answer in answers[:4]] == [False, False, True, False]
    assert answers[2].evidence.score == pytest.approx(0.95)


@pytest.mark.parametrize("last", [AMBIGUOUS, CAN_NOT_TELL])
def test_a_question_and_a_give_up_say_of_no_mask_that_it_is_the_answer(tmp_path: Path, last: str) -> None:
    trace = trace_of(SEGMENT, SEGMENT_LEFT, last)
    mask = trace.mask(1)
    assert mask is not None
    row = score(prediction_of(trace), Example("a", FRAME, "", Outcome.FOUND, (mask,)))
    assert row.masked
    with Results(tmp_path, RunSettings(dataset={}, system={})) as results:
        results.add(ExampleResult(row, Measured(), None, (), msgspec.Raw(trace.to_json().encode())))
    assert list(judged(tmp_path / FILE)) == []


def test_the_command_writes_a_calibration_and_says_what_it_is_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(tmp_path / "run")
    out = tmp_path / "calibration.json"
    assert calibrated(str(tmp_path / "run"), "--out", str(out)) == 0
    calibration = load(out)
    assert (calibration.kind, calibration.count) == ("platt", 60)
    evidence = [one.evidence for one in judged(tmp_path / "run" / FILE)]
    sure, weak = (next(one for one in evidence if (one.score > 0.9) is wanted) for wanted in (True, False))
    assert calibration.confidence(weak) < 0.3 < 0.6 < calibration.confidence(sure)
    told = capsys.readouterr().out
    assert "60 answers FOUND, 40% right" in told
    assert "calibration error" in told
    assert str(out) in told


def test_bad_usage_and_bad_files_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = evaluated(tmp_path / "few", count=10)
    out = tmp_path / "calibration.json"
    assert calibrated(str(few), "--out", str(out)) == 1
    assert "a calibration needs 20" in capsys.readouterr().err
    assert not out.exists()
    (tmp_path / "broken.jsonl").write_text("{}\n")
    assert calibrated(str(tmp_path / "broken.jsonl"), "--out", str(out)) == 1
    assert "broken.jsonl" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="rsagent evaluate"):
        calibrated(str(tmp_path / "none"), "--out", str(out))
    out.write_text("kept")
    with pytest.raises(SystemExit):
        calibrated(str(few), "--out", str(out))
    assert out.read_text() == "kept"


def test_a_trace_that_is_none_is_named_with_its_place(tmp_path: Path) -> None:
    path = evaluated(tmp_path / "run", count=2)
    path.write_text(path.read_text().replace('"goal_id":', '"id":', 1))
    with pytest.raises(ValueError, match=r"results\.jsonl, sample scene-0: not a trace: .*goal_id"):
        list(judged(path))
