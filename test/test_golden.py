"""What an earlier release wrote is read, compared, gone on with, or refused with one sentence.

test/golden/README.md says what is there. It is never written anew: a test here that fails has found something that
users' files will meet, too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_copy import FUTURE, Golden, copy_golden

import rsagent_ros
from rsagent_ros.agent.turn import Trace
from rsagent_ros.confidence import load
from rsagent_ros.confidence.evidence import NAMES
from rsagent_ros.data.folder import load_examples
from rsagent_ros.records.reader import read_records
from rsagent_ros.shadow.promotion import read_promotions

BUDGET = ("--budget", "600", "--quiet")
EVALUATIONS = {
    "evaluation": ("records", "records"),
    "evaluation-scenes": ("scenes", "scenes", "--second-look"),
}
OUTCOMES = {
    "golden-found": "found",
    "golden-absent": "not_in_view",
    "golden-relation": "found",
    "golden-ambiguous": "ambiguous",
    "golden-follow-up": "found",
    "golden-gave-up": "gave_up",
    "golden-second-look": "found",
}
"""Of the records, by goal."""


@pytest.fixture
def golden(tmp_path: Path) -> Golden:
    return copy_golden(tmp_path / "golden")


@pytest.fixture
def same_release(golden: Golden) -> None:
    """For runs that belong to the release that began them; another one begins anew, or says so."""
    if golden.expected["release"] != rsagent_ros.__version__:
        pytest.skip("a run belongs to the release that began it")


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def test_records_repeat_to_the_bit(golden: Golden) -> None:
    ran = golden.rsagent("replay", "--recorded", "records")
    assert ran.code == 0, ran
    assert set(re.findall(r"^(\S+): the same, to the bit", ran.out, re.MULTILINE)) == {*OUTCOMES}


def test_records_say_how_they_ended_and_what_was_true(golden: Golden) -> None:
    records = {record.goal_id: record for record in read_records(golden / "records")}
    assert {name: record.trace.outcome for name, record in records.items()} == OUTCOMES
    for record in records.values():
        (verdict,) = record.verdicts
        assert verdict.goal_id == record.goal_id
        assert verdict.absent == (record.goal_id == "golden-absent")
        assert record.depth is not None
        assert record.camera_info is not None
    assert not all(record.verdicts[0].accepted for record in records.values())
    assert records["golden-second-look"].trace.second_looks
    assert [one.instruction for one in records["golden-follow-up"].trace.previous] == ["the small red box"]
    assert records["golden-gave-up"].trace.partial


def test_a_redacted_record_is_read_and_not_repeated(golden: Golden) -> None:
    ran = golden.rsagent("replay", "--recorded", "redacted")
    assert ran.code == 3
    assert "golden-redacted: not repeated, its image is redacted (surroundings)" in ran.out


def test_records_can_be_looked_at(golden: Golden) -> None:
    ran = golden.rsagent("view", "records", "--out", "records.html")
    assert ran.code == 0, ran
    page = (golden / "records.html").read_text(encoding="utf-8")
    assert "the cyan object" in page
    assert "the simulator&#39;s truth" in page


def test_a_bag_gives_the_same_outcomes_and_masks(golden: Golden) -> None:
    ran = golden.rsagent("replay", "bag", "--out", "again", "--budget", "600")
    assert ran.code == 0, ran
    for now, then in zip(golden.lines("again/results.jsonl"), golden.lines("replayed/results.jsonl"), strict=True):
        for name in ("goal_id", "instruction", "time_ns", "stamp_ns", "outcome", "area", "bbox"):
            assert now[name] == then[name]
        assert now["recorded"] == then["recorded"]


def test_the_verdicts_in_a_bag_are_a_test_set(golden: Golden) -> None:
    ran = golden.rsagent("evaluate", "bag", "bag", "--out", "of-bag", *BUDGET)
    assert ran.code == 0, ran
    rows = {line["row"]["id"]: line["row"]["outcome"] for line in golden.lines("of-bag/results.jsonl")[1:]}
    assert rows == {name: OUTCOMES[name] for name in ("golden-found", "golden-absent")}


def test_scenes_have_the_same_pixels_and_masks(golden: Golden) -> None:
    scenes = {scene.id: scene for scene in load_examples(golden / "scenes")}
    assert set(scenes) == set(golden.expected["scenes"])
    for name, expected in golden.expected["scenes"].items():
        scene = scenes[name]
        assert scene.instruction == expected["instruction"]
        assert scene.expected == expected["expected"]
        assert digest(scene.image) == expected["image"]
        assert [digest(mask) for mask in scene.masks] == expected["masks"]
        assert scene.depth is not None
        assert digest(scene.depth) == expected["depth"]
        assert scene.camera is not None
        assert [[one.instruction, one.question] for one in scene.previous] == expected["previous"]


@pytest.mark.parametrize("name", EVALUATIONS)
def test_an_evaluation_with_the_replies_of_then_has_the_same_figures(golden: Golden, name: str) -> None:
    ran = golden.rsagent("evaluate", *EVALUATIONS[name], "--replies", name, "--out", "again", *BUDGET)
    assert ran.code == 0, ran
    then, now = golden.json(f"{name}/report.json")["metrics"], golden.json("again/report.json")["metrics"]
    assert now["giou"]["value"] == golden.expected["giou"][name]
    assert now["ciou"]["value"] == then["ciou"]["value"]
    masks = [
        {line["row"]["id"]: line["mask"] for line in golden.lines(f"{folder}/results.jsonl")[1:]}
        for folder in (name, "again")
    ]
    assert masks[0] == masks[1]


@pytest.mark.usefixtures("same_release")
@pytest.mark.parametrize("name", EVALUATIONS)
def test_an_evaluation_that_was_broken_off_is_gone_on_with(golden: Golden, name: str) -> None:
    whole = golden.cut(f"{name}/results.jsonl", 4)
    ran = golden.rsagent("evaluate", *EVALUATIONS[name], "--out", name, *BUDGET)
    assert ran.code == 0, ran
    assert (golden / f"{name}/results.jsonl").read_bytes().startswith(whole)
    assert golden.json(f"{name}/report.json")["metrics"]["giou"]["value"] == golden.expected["giou"][name]


def test_an_evaluation_is_not_gone_on_with_otherwise(golden: Golden) -> None:
    ran = golden.rsagent("evaluate", "records", "records", "--out", "evaluation", *BUDGET, "--seed", "1")
    ran.refused("evaluation/results.jsonl is of another run", "--out")


def test_an_evaluation_compared_with_itself_is_the_same(golden: Golden) -> None:
    ran = golden.rsagent("compare", "evaluation", "evaluation", "--out", "compared")
    assert ran.code == 0, ran
    compared = golden.json("compared/comparison.json")
    assert compared["samples"] == len(OUTCOMES)
    assert compared["differences"]["giou"]["value"] == 0
    assert compared["only_in"] == [[], []]


def test_masks_of_others_have_the_same_score(golden: Golden) -> None:
    words = ("--truth", "scenes", "--dataset", "scenes", "--predictions", "predictions", "--out", "again", "--quiet")
    ran = golden.rsagent("score", *words)
    assert ran.code == 0, ran
    assert golden.json("again/report.json")["metrics"]["giou"]["value"] == golden.expected["giou"]["scored"]
    assert golden.rsagent("compare", "scored", "again", "--out", "compared").code == 0
    assert golden.json("compared/comparison.json")["differences"]["giou"]["value"] == 0


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_a_calibration_gives_the_same_confidences(golden: Golden, kind: str) -> None:
    # Its last column is evidence that is gone, and never had a weight.
    evidence = np.array(golden.expected["evidence"], dtype=np.float64)[:, : len(NAMES)]
    confidences = load(golden / f"calibration/{kind}.json").confidences(evidence)
    np.testing.assert_allclose(confidences, golden.expected["confidences"][kind], rtol=1e-12)


CONTEST = (
    "shadow", "records", "--incumbent", "config/incumbent.yaml", "--candidate", "config/candidate.yaml",
    "--out", "shadow", "--goals", "2", *BUDGET,
)  # fmt: skip


def test_a_contest_is_gone_on_with(golden: Golden, same_release: None) -> None:
    """Nothing is played again; answers that were judged by fewer measures are judged again, from their traces."""
    folders = sorted((golden / "shadow/answers").iterdir())
    before = [(folder / "results.jsonl").read_bytes() for folder in folders]
    ran = golden.rsagent(*CONTEST)
    assert ran.code == 3, ran  # so few goals are not enough to say
    assert sorted((golden / "shadow/answers").iterdir()) == folders
    for folder, kept in zip(folders, before, strict=True):
        text = (folder / "results.jsonl").read_bytes()
        assert text.startswith(kept)
        then, now = (
            {line["row"]["id"]: Trace.from_json(json.dumps(line["trace"])) for line in _results(part)}
            for part in (kept, text[len(kept) :])
        )
        assert now == then, "a goal was played again"


def _results(text: bytes) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if "row" in line]


def test_the_two_sides_of_a_contest_can_be_compared(golden: Golden) -> None:
    gain = read_promotions(golden / "shadow").promoted[-1].evidence["gain"]
    sides = sorted((golden / "shadow/answers").iterdir(), key=lambda side: '"view_side":768' in _first_line(side))
    assert golden.rsagent("compare", *sides, "--out", "compared").code == 0
    assert golden.json("compared/comparison.json")["differences"]["giou"]["value"] == pytest.approx(gain, abs=1e-6)


def _first_line(side: Path) -> str:
    return (side / "results.jsonl").read_text(encoding="utf-8").partition("\n")[0]


def test_who_was_promoted_still_is(golden: Golden) -> None:
    promotions = read_promotions(golden / "shadow")
    assert promotions.parameters is not None
    decides = promotions.active(promotions.parameters)
    assert decides.choice.view_side == 768
    assert promotions.before(promotions.parameters) == promotions.parameters
    assert [entry["what"] for entry in promotions.history] == ["promoted"]


def test_weights_are_held_against_their_lock(golden: Golden) -> None:
    ran = golden.rsagent("models", "verify", "models")
    assert ran.code == 0, ran
    assert "someone/small" in ran.out
    (golden / "models/small/model.safetensors").write_bytes(b"other")
    golden.rsagent("models", "verify", "models").refused("model.safetensors")


@pytest.mark.parametrize("name", ["desktop_24gb", "orin_64gb", "remote"])
def test_a_recipe_for_serving_is_taken(golden: Golden, name: str) -> None:
    ran = golden.rsagent("serve", f"config/serve/{name}.yaml", "--show")
    assert ran.code == 0, ran
    assert "serve" in ran.out


def test_a_trace_of_version_1_is_read(golden: Golden) -> None:
    trace = Trace.from_json((golden / "run/trace.json").read_bytes())
    result = golden.json("run/result.json")
    assert trace.outcome == result["outcome"]
    assert len(trace.turns) == result["turns"]
    mask = trace.mask(trace.instance_ids[0])
    assert mask is not None
    assert int(mask.sum()) == result["area"]


def _of_the_future(line: dict[str, object]) -> None:
    if "version" in line:
        line["version"] = FUTURE


RESUME = ("evaluate", "records", "records", "--out", "evaluation", *BUDGET)


def _trace_of_the_future(line: dict[str, dict[str, object]]) -> None:
    if "trace" in line:
        line["trace"]["version"] = FUTURE


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("evaluation/results.jsonl", _of_the_future, ("compare", "evaluation", "evaluation", "--out", "x")),
        ("evaluation/results.jsonl", _of_the_future, RESUME),
        ("evaluation/results.jsonl", _trace_of_the_future, ("calibrate", "evaluation", "--out", "x")),
        ("scenes/scenes.jsonl", _of_the_future, ("evaluate", "scenes", "scenes", "--out", "x", *BUDGET)),
    ],
)
def test_a_version_of_the_future_is_named(
    golden: Golden, file: str, change: Callable[[object], None], words: tuple[str, ...]
) -> None:
    golden.change(file, change)
    golden.rsagent(*words).refused(f"version {FUTURE}")


def test_a_calibration_of_the_future_is_named(golden: Golden) -> None:
    path = golden / "calibration/platt.json"
    path.write_text(re.sub(r'"version": 1\b', f'"version": {FUTURE}', path.read_text()))
    with pytest.raises(ValueError, match=f"version {FUTURE}"):
        load(path)


def test_a_lock_of_the_future_is_named(golden: Golden) -> None:
    path = golden / "models/small/rsagent-models.lock.json"
    path.write_text(re.sub(r'"version": 1\b', f'"version": {FUTURE}, "more": []', path.read_text()))
    golden.rsagent("models", "verify", "models").refused(f"version {FUTURE}")


def test_a_trace_of_the_future_is_named(golden: Golden) -> None:
    text = (golden / "run/trace.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=f"version {FUTURE}"):
        Trace.from_json(re.sub(r'"version": ?1\b', f'"version":{FUTURE},"more":[]', text))
