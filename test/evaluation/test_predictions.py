"""Scoring the masks of other systems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_cases import SIZE, box, write_mask

from rsagent_ros.agent.mask import Mask, encode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.datasets import Dataset
from rsagent_ros.evaluation.evaluator import Evaluated
from rsagent_ros.evaluation.predictions import score_predictions
from rsagent_ros.scoring.metrics import values

TRUE: dict[str, Mask] = {
    "a": box(0, 0, 20, 10),
    "b": box(0, 0, 20, 10),
    "c": box(0, 0, 20, 10),
    "none": np.zeros(SIZE, np.bool_),
}
GIVEN: dict[str, Mask] = {"a": box(0, 0, 20, 10), "b": box(10, 0, 30, 10), "none": np.zeros(SIZE, np.bool_)}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name, mask in TRUE.items():
        write_mask(tmp_path / "truth" / f"{name}.png", mask)
    (tmp_path / "given").mkdir()
    return tmp_path / "truth", tmp_path / "given"


def run(folders: tuple[Path, Path], out: str = "out") -> Evaluated:
    truth, given = folders
    return score_predictions(Dataset("masks", str(truth)), given, given.parent / out)


def write_lines(folder: Path, *rows: Any) -> None:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "predictions.jsonl").write_text("\n".join(lines) + "\n")


def test_png_by_hand(folders: tuple[Path, Path]) -> None:
    for name, mask in GIVEN.items():
        write_mask(folders[1] / f"{name}.png", mask)
    found = run(folders)
    assert {score.id: score.iou for score in found.scores} == {"a": 1, "b": pytest.approx(1 / 3), "c": 0, "none": 1}
    missing = next(score for score in found.scores if score.id == "c")
    assert (missing.outcome, missing.error_code, missing.union) == (Outcome.FAILED, "MISSING", 200)
    rates = values(found.scores)
    assert rates["giou"] == pytest.approx((1 + 1 / 3 + 0 + 1) / 4)
    assert rates["ciou"] == pytest.approx(300 / (200 + 300 + 200))
    assert (rates["n_acc"], rates["t_acc"]) == (1, pytest.approx(2 / 3))


def test_run_lengths_give_the_same(folders: tuple[Path, Path]) -> None:
    for name, mask in GIVEN.items():
        write_mask(folders[1] / f"{name}.png", mask)
    png = run(folders, "png")
    rows = [{"id": name, "mask": encode_rle(mask)} for name, mask in GIVEN.items()]
    write_lines(folders[1], *rows)
    assert run(folders, "rle").scores == png.scores


def test_confidence_and_outcome(folders: tuple[Path, Path]) -> None:
    write_lines(
        folders[1],
        {"id": "a", "mask": encode_rle(GIVEN["a"]), "confidence": 0.25},
        {"id": "b", "mask": None},
        {"id": "c", "outcome": "failed"},
        {"id": "none", "outcome": "failed"},
    )
    rows = {row.id: row for row in run(folders).scores}
    assert rows["a"].confidence == 0.25
    assert rows["b"].outcome is Outcome.NOT_IN_VIEW
    assert rows["c"].outcome is rows["none"].outcome is Outcome.FAILED
    assert rows["none"].iou == 0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"mask": encode_rle(box(0, 0, 5, 5, (60, 81)))}, "81 x 60 pixels, the image 80 x 60"),
        ({"mask": {"size": [60, 80], "counts": "~~~"}}, "characters that COCO"),
        ({"mask": "gone.png"}, "missing"),
        ({"mask": encode_rle(GIVEN["a"]), "confidence": 1.5}, "must be 0 to 1"),
        ({"mask": encode_rle(GIVEN["a"]), "outcome": "not_in_view"}, "nothing is in view"),
    ],
)
def test_a_wrong_prediction_counts_with_nothing_and_is_said_to_be_wrong(
    folders: tuple[Path, Path], said: dict[str, Any], reason: str
) -> None:
    write_lines(folders[1], {"id": "a", **said})
    found = run(folders)
    wrong = next(score for score in found.scores if score.id == "a")
    assert (wrong.outcome, wrong.error_code, wrong.iou, wrong.union) == (Outcome.FAILED, "UNREADABLE", 0, 200)
    assert reason in wrong.error_msg
    assert any(reason in remark for remark in found.remarks)
    assert len(found.scores) == len(TRUE)


def test_wrong_lines_second_predictions_and_unknown_ids_are_remarked_on(folders: tuple[Path, Path]) -> None:
    right = {"id": "a", "mask": encode_rle(GIVEN["a"])}
    write_lines(folders[1], "{", {"id": "a", "masks": 3}, right, {"id": "a", "mask": None}, {"id": "who"})
    found = run(folders)
    assert next(score for score in found.scores if score.id == "a").iou == 1
    said = "\n".join(found.remarks)
    for expected in ("line 1: ", "line 2: ", "line 4: a second prediction for a", "who is no sample"):
        assert expected in said
    assert found.faults


def test_nothing_is_overwritten(folders: tuple[Path, Path]) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither predictions\.jsonl nor"):
        run(folders)
    write_lines(folders[1], {"id": "a"})
    run(folders)
    with pytest.raises(FileExistsError, match="not overwriting"):
        run(folders)
