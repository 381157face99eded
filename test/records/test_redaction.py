"""Redaction: what a record is not about can't be told from it any more, and a redacted record says that it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from recorded import recorded

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.cli import main
from rsagent_ros.data.ref import ExampleRef
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.records import redaction
from rsagent_ros.records.reader import read_record
from rsagent_ros.records.record import Record, Redaction, Verdict
from rsagent_ros.records.redaction import redactor
from rsagent_ros.records.writer import RecordWriter


def face(image: NDArray[np.uint8], x: int, y: int, size: int) -> None:
    """Draw a face around (x, y), `size` pixels wide."""

    def oval(dx: float, dy: float, width: float, height: float, colour: tuple[int, int, int]) -> None:
        at = (x + round(dx * size), y + round(dy * size))
        cv2.ellipse(image, at, (round(width * size), round(height * size)), 0, 0, 360, colour, -1)

    oval(0.0, -0.12, 0.62, 0.80, (60, 45, 35))
    oval(0.0, 0.0, 0.50, 0.68, (205, 165, 140))
    for side in (-0.2, 0.2):
        oval(side, -0.22, 0.13, 0.03, (70, 50, 40))
        oval(side, -0.12, 0.12, 0.06, (120, 90, 80))
        oval(side, -0.12, 0.045, 0.045, (30, 25, 25))
    oval(0.0, 0.12, 0.06, 0.16, (220, 180, 155))
    oval(0.0, 0.20, 0.09, 0.03, (165, 120, 100))
    oval(0.0, 0.36, 0.18, 0.05, (140, 70, 70))


def detail(image: NDArray[np.uint8], rows: slice, columns: slice) -> float:
    """How much neighbouring pixels differ there."""
    part = image[rows, columns].astype(np.float64)
    return float(np.abs(np.diff(part, axis=0)).mean() + np.abs(np.diff(part, axis=1)).mean())


def test_a_face_is_taken_out_and_the_rest_stays() -> None:
    height, width = 240, 320
    image = np.full((height, width, 3), (110, 120, 130), np.uint8)
    image[:, ::7] = 60
    record = recorded(image=image.copy())
    face(image, width // 2, height // 2, height // 3)
    redacted = redactor("faces")(replace(record, image=image))
    assert redacted.redaction == "faces"
    eyes = slice(height // 2 - height // 12, height // 2), slice(width // 2 - height // 8, width // 2 + height // 8)
    assert detail(redacted.image, *eyes) < 0.5 * detail(image, *eyes)
    aside = slice(0, height), slice(0, width // 8)
    assert np.array_equal(redacted.image[aside], image[aside])
    assert redacted.trace == record.trace
    again = redactor("faces")(redacted)
    assert np.array_equal(again.image, redacted.image)  # no face is left to find


def test_what_is_around_the_answer_is_taken_out_of_image_and_depth() -> None:
    record = recorded()
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, record.image.shape, dtype=np.uint8)
    depth = np.ones(record.image.shape[:2], np.float32)
    redacted = redactor("surroundings")(replace(record, image=noise, depth=depth))
    mask = record.trace.mask(record.trace.instance_ids[0])
    assert mask is not None
    assert np.array_equal(redacted.image[mask], noise[mask])
    assert redacted.depth is not None
    assert np.isfinite(redacted.depth[mask]).all()
    gone = np.isnan(redacted.depth)
    assert gone.any()
    blocks = {tuple(pixel) for pixel in redacted.image[gone].tolist()}
    assert len(blocks) <= redaction.BLOCKS**2 < len(np.unique(noise[gone], axis=0))


def test_without_an_answer_nothing_is_left() -> None:
    record = recorded()
    trace = replace(record.trace, turns=(), instance_ids=(), confidences=())
    noise = np.random.default_rng(0).integers(0, 256, record.image.shape, dtype=np.uint8)
    redacted = redactor("surroundings")(replace(record, trace=trace, image=noise))
    assert len(np.unique(redacted.image.reshape(-1, 3), axis=0)) <= redaction.BLOCKS**2


@pytest.mark.parametrize("outcome", [Outcome.NOT_IN_VIEW, Outcome.FAILED, Outcome.CANCELED, Outcome.GAVE_UP])
def test_masks_that_were_only_tried_are_no_answer(outcome: Outcome) -> None:
    record = recorded(image=np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    trace = replace(record.trace, outcome=outcome, instance_ids=(), confidences=())
    assert any(turn.mask is not None for turn in trace.turns)
    depth = np.ones(record.image.shape[:2], np.float32)
    redacted = redactor("surroundings")(replace(record, trace=trace, depth=depth))
    assert len(np.unique(redacted.image.reshape(-1, 3), axis=0)) <= redaction.BLOCKS**2
    assert redacted.depth is not None
    assert np.isnan(redacted.depth).all()


@pytest.mark.parametrize("kind", ["faces", "surroundings"])
def test_a_redacted_record_says_so_and_is_not_repeated(
    kind: Redaction, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = replace(recorded(), verdicts=(Verdict("7", "operator", accepted=True),))
    record = replace(record, goal_id="7", trace=replace(record.trace, goal_id="7"))
    path = RecordWriter(tmp_path).write(redactor(kind)(record))
    assert read_record(path).redaction == kind
    assert main(["replay", "--recorded", str(tmp_path)]) == 3
    assert f"not repeated, its image is redacted ({kind})" in capsys.readouterr().out
    listed = [one for one in list_examples(Dataset("records", str(tmp_path))) if isinstance(one, ExampleRef)]
    assert len(listed) == (1 if kind == "faces" else 0)
    as_a_bag = [one for one in list_examples(Dataset("bag", str(path))) if isinstance(one, ExampleRef)]
    assert len(as_a_bag) == (1 if kind == "faces" else 0)
    page = tmp_path / "page.html"
    assert main(["view", str(path), "--out", str(page)]) == 0
    assert f">{kind}<" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["faces", "surroundings"])
def test_a_redacted_record_makes_no_records_that_say_they_are_whole(
    kind: Redaction, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = np.full((48, 64, 3), 90, np.uint8)  # noise would keep the reference policy busy for a minute
    path = RecordWriter(tmp_path / "redacted").write(redactor(kind)(recorded(image=plain)))
    arguments = ["replay", str(path), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--record", str(tmp_path / "again")])
    assert ended.value.code == 2
    assert f"its images are redacted ({kind})" in capsys.readouterr().err
    assert not list(tmp_path.glob("again/*"))
    assert main(arguments) == 0


def test_a_record_that_is_not_redacted_is_as_ever(tmp_path: Path) -> None:
    record = recorded()
    assert redactor("none")(record) is record
    assert read_record(RecordWriter(tmp_path).write(record)).redaction == "none"


def test_without_cascades_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(redaction, "CASCADES", ("none.xml",))
    with pytest.raises(FileNotFoundError, match=r"apt install opencv-data, or choose the redaction surroundings"):
        redactor("faces")
    with pytest.raises(ValueError, match="there is no redaction 'eyes'; choose one of none, faces, surroundings"):
        redactor("eyes")  # type: ignore[arg-type]


def test_a_redaction_of_a_later_release_is_refused(tmp_path: Path) -> None:
    record: Record = replace(recorded(), redaction="hands")  # type: ignore[arg-type]
    path = RecordWriter(tmp_path).write(record)
    with pytest.raises(ValueError, match="the redaction 'hands'; this release knows none, faces, surroundings"):
        read_record(path)
    with pytest.raises(ValueError, match="the redaction 'hands'; this release knows none, faces, surroundings"):
        list(list_examples(Dataset("bag", str(path))))
