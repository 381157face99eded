"""Who decides: promoted on evidence, rolled back, remembered, and never lost to a damaged file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rsagent_ros.backends import Choice
from rsagent_ros.shadow.candidate import Candidate
from rsagent_ros.shadow.paired_result import Standing
from rsagent_ros.shadow.promotion import FILE, Promotions, read_promotions, write_promotions

OWN, BETTER, BEST = (Candidate(Choice(view_side=side)) for side in (128, 256, 512))
NONE = Promotions()


def proof(incumbent: Candidate, candidate: Candidate, low: float = 0.1, goals: int = 30) -> Standing:
    sides = incumbent.fingerprint, candidate.fingerprint
    return Standing(sides, 40, goals, 0, 0, 30, 0.5, 0.7, 0.2, low, 0.3)


def test_a_promotion_and_its_rollback() -> None:
    assert NONE.deciding(OWN) == OWN
    assert NONE.before(OWN) is None
    one = NONE.promote(BETTER, OWN, proof(OWN, BETTER), "service")
    assert (one.deciding(OWN), one.before(OWN)) == (BETTER, OWN)
    two = one.promote(BEST, OWN, proof(BETTER, BEST), "itself")
    assert (two.deciding(OWN), two.before(OWN)) == (BEST, BETTER)
    back = two.rollback(OWN)
    assert back.deciding(OWN) == BETTER
    own = back.rollback(OWN)
    assert own.deciding(OWN) == OWN
    assert [(entry["what"], entry["by"]) for entry in own.history] == [
        ("promoted", "service"),
        ("promoted", "itself"),
        ("rolled back", "service"),
        ("rolled back", "service"),
    ]
    assert own.history[0]["evidence"]["low"] == 0.1
    with pytest.raises(ValueError, match="nothing to roll back"):
        own.rollback(OWN)


@pytest.mark.parametrize(
    ("standing", "told"),
    [
        (proof(OWN, BETTER, low=0.0), "not promoted: gIoU 0.700 of the candidate and 0.500 of the incumbent on 30"),
        (proof(OWN, BETTER, low=-0.1), "which is not clearly above 0"),
        (proof(OWN, BETTER, goals=29), "30 goals are needed"),
        (proof(BEST, BETTER), "models, adapters or parameters have changed since the contest"),
        (proof(OWN, BEST), "models, adapters or parameters have changed since the contest"),
    ],
)
def test_without_evidence_nobody_is_promoted(standing: Standing, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        NONE.promote(BETTER, OWN, standing, "service")


def test_who_decides_is_not_promoted_again() -> None:
    one = NONE.promote(BETTER, OWN, proof(OWN, BETTER), "service")
    with pytest.raises(ValueError, match="decides already"):
        one.promote(BETTER, OWN, proof(OWN, BETTER), "service")


def test_weights_that_were_replaced_since_the_contest_are_not_promoted(tmp_path: Path) -> None:
    (tmp_path / "adapter").write_bytes(b"old")
    candidate = Candidate(Choice("local", settings={"local.lora": str(tmp_path)}))
    standing = proof(OWN, candidate)
    (tmp_path / "adapter").write_bytes(b"newer")
    with pytest.raises(ValueError, match="have changed since the contest"):
        NONE.promote(candidate, OWN, standing, "service")


def test_what_a_person_rolled_back_is_known() -> None:
    one = NONE.promote(BETTER, OWN, proof(OWN, BETTER), "itself")
    assert not one.was_rolled_back(BETTER.fingerprint)
    back = one.rollback(OWN)
    assert back.was_rolled_back(BETTER.fingerprint)
    assert not back.was_rolled_back(BEST.fingerprint)
    assert not back.promote(BETTER, OWN, proof(OWN, BETTER), "service").was_rolled_back(BETTER.fingerprint)


def test_other_parameters_are_a_later_decision() -> None:
    one = NONE.promote(BETTER, OWN, proof(OWN, BETTER), "service")
    other = Candidate(Choice(view_side=1024))
    assert one.deciding(other) == other
    assert one.before(other) is None
    with pytest.raises(ValueError, match="nothing to roll back"):
        one.rollback(other)
    assert one.deciding(OWN) == BETTER
    anew = one.promote(BEST, other, proof(other, BEST), "service")
    assert (anew.deciding(other), anew.before(other)) == (BEST, other)
    assert anew.deciding(OWN) == OWN


def test_it_survives_the_process(tmp_path: Path) -> None:
    calibrated = replace(BETTER, calibration="/models/calibration.json")
    state = NONE.promote(calibrated, OWN, proof(OWN, calibrated), "service")
    write_promotions(tmp_path / "shadow", state)
    assert read_promotions(tmp_path / "shadow") == state
    assert read_promotions(tmp_path / "shadow").deciding(OWN).calibration == "/models/calibration.json"
    write_promotions(tmp_path / "shadow", state.rollback(OWN))
    assert read_promotions(tmp_path / "shadow").deciding(OWN) == OWN
    assert [path.name for path in (tmp_path / "shadow").iterdir()] == [FILE]


def test_without_a_file_nobody_is_promoted(tmp_path: Path) -> None:
    assert read_promotions(tmp_path / "none") == NONE


def damaged() -> list[str]:
    whole = {"parameters": {"policy": "reference"}, "promoted": [{"candidate": {}}], "history": []}
    wrong = {"parameters": {"policy": "telepathy"}, "promoted": [], "history": []}
    return ["{", "- 1", "promoted: 3", "\x00\x01", "[" * 5000, yaml.safe_dump(whole), yaml.safe_dump(wrong)]


@pytest.mark.parametrize("text", damaged())
def test_a_damaged_file_is_told_with_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=r"promoted\.yaml is damaged .*: the parameters' own choice decides; mend"):
        read_promotions(tmp_path)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = NONE.promote(BETTER, OWN, proof(OWN, BETTER), "service")
    write_promotions(tmp_path, state)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_promotions(tmp_path, state.rollback(OWN))
    assert read_promotions(tmp_path) == state
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
