"""A rosbag as a dataset: its goals that were answered and judged, on the images that they were answered on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bags import START, Tape, camera_tape, discs, image, truth

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.baseline.policy import ReferencePolicy
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.cli import main
from rsagent_ros.data.example import Example
from rsagent_ros.data.ref import ExampleRef, Skipped
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.records.record import Record, Verdict
from rsagent_ros.records.record_messages import RESULT_TOPIC, VERDICT_TOPIC, entries, verdict_entry


def answered(tape: Tape, goal_id: str, frame: int, words: str = "the red circle", *, camera: str = "") -> None:
    """Put in the tape what a node says when it has looked at a frame of the camera."""
    policy = ReferencePolicy()
    episode = Episode(
        discs(2 * frame), words, ClassicalSegmenter(), Budget(60), goal_id=goal_id,
        policy_name=policy.name, pictures=policy.pictures,
    )  # fmt: skip
    drive(episode, policy)
    record = Record(goal_id, START + frame * 100_000_000, camera, discs(2 * frame), episode.trace)
    (result,) = [entry for entry in entries(record) if entry.topic == RESULT_TOPIC]
    tape.put(frame / 10 + 0.25, RESULT_TOPIC, result.message)


def judged(tape: Tape, goal_id: str, **said: object) -> None:
    verdict = Verdict(goal_id, "operator", stamp_ns=START + 10**9, **said)  # type: ignore[arg-type]
    tape.put(1.0, VERDICT_TOPIC, verdict_entry(verdict).message)


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Four goals: one right, one whose mask was corrected, one rejected, one that nobody judged."""
    tape = camera_tape()
    answered(tape, "right", 1, camera="front")
    answered(tape, "corrected", 3)
    answered(tape, "wrong", 2)
    answered(tape, "not judged", 2)
    judged(tape, "right", accepted=True)
    judged(tape, "corrected", accepted=False, mask=truth(0))
    judged(tape, "wrong", accepted=False)
    return tape.write(tmp_path / "bag")


def examples(bag: Path) -> tuple[dict[str, Example], list[Skipped]]:
    found = list(list_examples(Dataset("bag", str(bag))))
    return (
        {one.id: one.load() for one in found if isinstance(one, ExampleRef)},
        [one for one in found if isinstance(one, Skipped)],
    )


def test_judged_goals_are_samples_on_the_image_of_their_answer(bag: Path) -> None:
    found, left = examples(bag)
    assert set(found) == {"right", "corrected"}
    assert np.array_equal(found["right"].image, discs(2))
    assert found["right"].expected is Outcome.FOUND
    assert found["right"].category == "front"
    overlap = found["right"].masks[0] & truth(2)
    assert overlap.sum() > 0.95 * truth(2).sum()
    assert np.array_equal(found["corrected"].image, discs(6))
    assert np.array_equal(found["corrected"].masks[0], truth(0))
    assert {one.id: one.fault for one in left} == {"wrong": False, "not-judged": False}


def test_it_is_evaluated_like_any_other(bag: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", "bag", str(bag), "--out", str(out), "--quiet"]) == 0
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["metrics"]["giou"]["over"] == 2


def test_what_is_damaged_is_told_and_the_rest_is_used(bag: Path, tmp_path: Path) -> None:
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-200])
    (bag / "metadata.yaml").unlink()
    found, left = examples(bag)
    assert set(found) == {"right", "corrected"}
    assert any(one.fault and "cut at byte" in one.reason for one in left)
    lost = camera_tape()
    answered(lost, "of another day", 9)
    judged(lost, "of another day", accepted=True)
    found, left = examples(lost.write(tmp_path / "lost"))
    assert found == {}
    assert any(one.fault and "'of another day'" in one.reason for one in left)
    with pytest.raises(FileNotFoundError):
        examples(tmp_path / "nowhere")


def test_a_verdict_that_can_not_be_is_told(tmp_path: Path) -> None:
    tape = camera_tape()
    answered(tape, "right", 1)
    broken = verdict_entry(Verdict("right", "operator", accepted=True)).message
    broken.source = 99
    tape.put(1.0, VERDICT_TOPIC, broken)
    judged(tape, "right", accepted=True)
    found, left = examples(tape.write(tmp_path / "bag"))
    assert set(found) == {"right"}
    assert any("source is 99" in one.reason for one in left)


def test_verdicts_without_a_stamp_are_of_the_time_they_came(tmp_path: Path) -> None:
    tape = camera_tape()
    answered(tape, "right", 1)
    judged(tape, "right", accepted=True)
    tape.put(1.5, VERDICT_TOPIC, verdict_entry(Verdict("right", "operator", accepted=False, absent=True)).message)
    found, _ = examples(tape.write(tmp_path / "bag"))
    assert found["right"].expected is Outcome.NOT_IN_VIEW


def test_several_cameras_are_named(tmp_path: Path) -> None:
    tape = camera_tape()
    tape.put(0.0, "/wrist/image", image(discs(), START))
    answered(tape, "right", 1)
    judged(tape, "right", accepted=True)
    with pytest.raises(ValueError, match="/wrist/image"):
        examples(tape.write(tmp_path / "bag"))
