"""The file of a calibration: what is written comes back, and what is none is refused with the reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsagent_ros.confidence import Calibration, Evidence, load, save
from rsagent_ros.confidence.evidence import NAMES

COUNT = len(NAMES)
PLATT = Calibration(
    "platt", NAMES, (0.5,) * COUNT, (0.0,) * COUNT, (1.0,) * COUNT, (1.0, *[0.0] * (COUNT - 1)), -0.5, (), (), 50, 0.6
)
STEPS = replace(PLATT, kind="isotonic", knots=(0.2, 0.6, 0.9), levels=(0.1, 0.1, 0.8))
EVIDENCE = Evidence(0.9, 0.5, float("nan"), 0.0, 0.0, 0.2, 0.0)


def test_a_logistic_function_of_the_evidence() -> None:
    assert PLATT.confidence(EVIDENCE) == pytest.approx(1 / (1 + np.exp(-0.4)))


def test_what_is_unknown_counts_as_usual() -> None:
    on_agreement = replace(PLATT, weights=tuple(float(name == "agreement") for name in NAMES), bias=0.0)
    assert on_agreement.confidence(EVIDENCE) == pytest.approx(1 / (1 + np.exp(-0.5)))


@pytest.mark.parametrize(("score", "confidence"), [(0.1, 0.1), (0.5, 0.1), (0.75, 0.45), (0.9, 0.8), (1.0, 0.8)])
def test_steps_with_lines_between(score: float, confidence: float) -> None:
    assert STEPS.confidence(replace(EVIDENCE, score=score, stability=1.0)) == pytest.approx(confidence)


@pytest.mark.parametrize("calibration", [PLATT, STEPS])
def test_it_comes_back_equal_and_nothing_is_overwritten(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save(calibration, path)
    assert load(path) == calibration
    with pytest.raises(FileExistsError):
        save(calibration, path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "of version 2; this release reads version 1"),
        ({"names": ["score"]}, "calibrate again"),
        ({"weights": [1.0]}, "differ in length"),
        ({"scale": [0.0] * COUNT}, "scale is not positive"),
        ({"kind": "isotonic"}, "must rise"),
        ({"kind": "forest"}, "Invalid enum value"),
        ({"bias": "much"}, "Expected `float`"),
    ],
)
def test_what_is_no_calibration(change: dict[str, object], told: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save(PLATT, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=told):
        load(path)


def test_a_calibration_from_before_votes_gives_what_it_gave(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save(PLATT, path)
    data = json.loads(path.read_text())
    columns = {field: data[field][:-1] for field in ("names", "usual", "centre", "scale", "weights")}
    path.write_text(json.dumps(data | columns))
    before = load(path)
    for share in (float("nan"), 0.2, 1.0):
        assert before.confidence(replace(EVIDENCE, share=share)) == pytest.approx(PLATT.confidence(EVIDENCE))


def test_no_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="rsagent calibrate"):
        load(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text('{"version": 1')
    with pytest.raises(ValueError, match="is no calibration"):
        load(tmp_path / "broken.json")
