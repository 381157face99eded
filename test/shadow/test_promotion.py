"""Promotions: on evidence, rolled back, written down, and never lost to a damaged file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from shadow_cases import proof

from rsagent_ros.backends import Choice
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.shadow.paired_result import PairedResult
from rsagent_ros.shadow.promotion import FILE, Promotions, read_promotions, write_promotions

OWN, BETTER, BEST = (CandidateModels(Choice(view_side=side)) for side in (128, 256, 512))
NONE = Promotions()


def test_a_promotion_and_its_rollback() -> None:
    assert NONE.active(OWN) == OWN
    assert NONE.before(OWN) is None
    one = NONE.promote(BETTER, OWN, proof(OWN, BETTER))
    assert (one.active(OWN), one.before(OWN)) == (BETTER, OWN)
    two = one.promote(BEST, OWN, proof(BETTER, BEST))
    assert (two.active(OWN), two.before(OWN)) == (BEST, BETTER)
    back = two.rollback(OWN)
    assert back.active(OWN) == BETTER
    own = back.rollback(OWN)
    assert own.active(OWN) == OWN
    assert [entry["what"] for entry in own.history] == ["promoted", "promoted", "rolled back", "rolled back"]
    assert {entry["by"] for entry in own.history} == {"service"}
    assert own.history[0]["evidence"]["low"] == 0.1
    with pytest.raises(ValueError, match="nothing to roll back"):
        own.rollback(OWN)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (proof(OWN, BETTER, low=0.0), "not promoted: value 0.700 of the candidate and 0.500 of the incumbent on 30"),
        (proof(OWN, BETTER, low=-0.1), "the gain is not clearly above 0"),
        (proof(OWN, BETTER, goals=29), "30 goals are needed"),
        (proof(OWN, BETTER, present=19), "19 present goals, 20 are needed"),
        (proof(BEST, BETTER), "models, adapters or parameters have changed since the comparison"),
        (proof(OWN, BEST), "models, adapters or parameters have changed since the comparison"),
    ],
)
def test_without_evidence_nothing_is_promoted(result: PairedResult, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        NONE.promote(BETTER, OWN, result)


def test_active_models_are_not_promoted_again() -> None:
    one = NONE.promote(BETTER, OWN, proof(OWN, BETTER))
    with pytest.raises(ValueError, match="is active already"):
        one.promote(BETTER, OWN, proof(OWN, BETTER))


def test_weights_that_were_replaced_since_the_comparison_are_not_promoted(tmp_path: Path) -> None:
    (tmp_path / "adapter").write_bytes(b"old")
    candidate = CandidateModels(Choice("local", settings={"local.lora": str(tmp_path)}))
    result = proof(OWN, candidate)
    (tmp_path / "adapter").write_bytes(b"newer")
    with pytest.raises(ValueError, match="have changed since the comparison"):
        NONE.promote(candidate, OWN, result)


def test_other_parameters_are_a_later_decision() -> None:
    one = NONE.promote(BETTER, OWN, proof(OWN, BETTER))
    other = CandidateModels(Choice(view_side=1024))
    assert one.active(other) == other
    assert one.before(other) is None
    with pytest.raises(ValueError, match="nothing to roll back"):
        one.rollback(other)
    assert one.active(OWN) == BETTER
    anew = one.promote(BEST, other, proof(other, BEST))
    assert (anew.active(other), anew.before(other)) == (BEST, other)
    assert anew.active(OWN) == OWN


def test_it_survives_the_process(tmp_path: Path) -> None:
    calibrated = replace(BETTER, calibration="/models/calibration.json")
    state = NONE.promote(calibrated, OWN, proof(OWN, calibrated))
    write_promotions(tmp_path / "shadow", state)
    assert read_promotions(tmp_path / "shadow") == state
    assert read_promotions(tmp_path / "shadow").active(OWN).calibration == "/models/calibration.json"
    write_promotions(tmp_path / "shadow", state.rollback(OWN))
    assert read_promotions(tmp_path / "shadow").active(OWN) == OWN
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
    with pytest.raises(ValueError, match=r"promoted\.yaml is damaged .*: the parameters' own choice is active; mend"):
        read_promotions(tmp_path)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = NONE.promote(BETTER, OWN, proof(OWN, BETTER))
    write_promotions(tmp_path, state)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_promotions(tmp_path, state.rollback(OWN))
    assert read_promotions(tmp_path) == state
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_the_evidence_says_what_did_not_get_worse(tmp_path: Path) -> None:
    write_promotions(tmp_path, NONE.promote(BETTER, OWN, proof(OWN, BETTER)))
    (entry,) = read_promotions(tmp_path).promoted
    assert entry.evidence["no_worse"][0] == {"name": "present", "goals": 20, "value": 0.1, "low": 0.05}
