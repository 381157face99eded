"""The tables and plots of the miniature: what is in them follows from the results, and the document is up to date."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from rsagent_training.miniature.curves import TrainingCurve, draw
from rsagent_training.miniature.report import BEGIN, END, main, part_of_document, pictures
from rsagent_training.miniature.statistics import estimate

PAIR = re.compile(r"[ML] (\S+) (\S+)")
SVG = "{http://www.w3.org/2000/svg}"
DOCS = Path(__file__).resolve().parents[3] / "docs"
SCENES = 40


def columns(iou: list[float], outcomes: str = "FFFN") -> dict[str, Any]:
    """A quarter of the scenes is without the thing; outcomes are repeated."""
    absent = [number % 4 == 3 for number in range(SCENES)]
    return {
        "iou": iou,
        "outcome": (outcomes * SCENES)[:SCENES],
        "right": "".join(str(int(value >= 0.5)) for value in iou),
        "absent": "".join(str(int(gone)) for gone in absent),
        "wrong_found": "0" * SCENES,
        "turns": "2" * SCENES,
        "bad_replies": "0" * SCENES,
    }


def results(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    policies = {
        name: {
            limit: columns(np.clip(rng.normal(mean + gain, 0.05, SCENES), 0, 1).tolist())
            for limit, gain in (("3", 0.0), ("4", 0.1), ("8", 0.1), ("12", 0.1))
        }
        for name, mean in (("grpo", 0.8), ("untrained", 0.0), ("sft", 0.5), ("mine", 0.6))
    }
    practice = {
        "step": [1, 2], "reward": [0.1, 0.3], "episodes/iou": [0.2, 0.4], "episodes/turns": [2.0, 2.5],
        "episodes/wrong_found": [0.3, 0.1], "episodes/gave_up": [0.1, 0.2],
    }  # fmt: skip
    return {
        "world": "search", "seed": seed, "policies": policies,
        "curves": {"sft": {"step": [1, 2], "loss": [4.0, 2.0]}, "grpo": practice},
        "recipe": {"seed": seed, "batch": 4, "variants": [], "turn_limits": [3]},
        "seconds": {"sft": 90.0, "grpo": 120.0, "merge sft": 1.0},
    }  # fmt: skip


def rows_of(part: str) -> list[list[str]]:
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def paths(svg: str) -> list[list[tuple[float, float]]]:
    """The points of each curve."""
    axes = next(group for group in ElementTree.fromstring(svg).iter(f"{SVG}g") if group.get("id") == "axes_1")
    lines = [group for group in axes.findall(f"{SVG}g") if group.get("id", "").startswith("line2d")]
    return [[(float(x), float(y)) for x, y in PAIR.findall(line[0].attrib["d"])] for line in lines]


def test_rows_stand_in_order_with_intervals_under_every_limit() -> None:
    part = part_of_document([results(0), results(1)], "training")
    assert part.startswith(BEGIN)
    assert part.endswith(END)
    rows = rows_of(part)
    assert rows[0] == ["IoU, turns at most", "3", "4", "8", "12"]
    assert [row[0] for row in rows[1:5]] == ["untrained", "SFT", "SFT + GRPO", "mine"]
    (gained,) = (row for row in rows if row[0] == "SFT + GRPO, over SFT")
    mean, low, high = (float(word.strip("[],")) for word in gained[1].split())
    assert 0.25 < low < mean < high < 0.35
    assert ["SFT", "1.5, 1.5"] in rows


def test_what_not_every_seed_has_says_so() -> None:
    ones = [results(0), results(1)]
    ones[0]["policies"]["without_process"] = ones[0]["policies"]["grpo"]
    del ones[1]["policies"]["grpo"]
    rows = rows_of(part_of_document(ones, "training"))
    assert [row[0] for row in rows[1:7]] == [
        "untrained", "SFT", "SFT + GRPO (1 seed)", "SFT + GRPO without R_process (1 seed)", "mine",
        "IoU gained on the same scenes",
    ]  # fmt: skip
    (same,) = (row for row in rows if row[0].startswith("SFT + GRPO, over SFT + GRPO without R_process"))
    assert same[1] == "+0.000 [+0.000, +0.000]"


def test_how_episodes_end_stands_in_a_table_and_giving_up_more_than_sft_is_told() -> None:
    one = results(0)
    for limit in one["policies"]["grpo"]:
        one["policies"]["grpo"][limit]["outcome"] = "FGNNFFFN" * 5
        one["policies"]["grpo"][limit]["wrong_found"] = "10" + "0" * (SCENES - 2)
    rows = rows_of(part_of_document([one], "training"))
    (head,) = (row for row in rows if row[0] == "At most 8 turns")
    row = dict(zip(head, next(row for row in rows[rows.index(head) :] if row[0] == "SFT + GRPO"), strict=True))
    assert row["wrong FOUND"] == "0.03"
    assert row["wrong absent"] == "0.12"
    # One present thing in six, where SFT gives up on none.
    assert row["gave up"] == "0.12 (of things that are there 0.17, SFT 0.00)"


def test_an_interval_holds_what_seeds_differ_by() -> None:
    same = estimate([np.full(50, 0.5), np.full(50, 0.5)])
    assert (same.low, same.mean, same.high) == (0.5, 0.5, 0.5)
    apart = estimate([np.full(50, 0.2), np.full(50, 0.8)])
    assert (apart.low, apart.high) == pytest.approx((0.2, 0.8))
    rng = np.random.default_rng(0)
    alone = estimate([rng.normal(0.5, 0.1, 400)])
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * 0.1 / 20, rel=0.1)


def test_results_of_two_recipes_or_of_the_old_world_are_refused() -> None:
    other = results(1)
    other["recipe"]["batch"] = 8
    with pytest.raises(ValueError, match="of one recipe and different seeds"):
        part_of_document([results(0), other], "training")
    with pytest.raises(ValueError, match=r"the seeds are \[0, 0\]"):
        part_of_document([results(0), results(0)], "training")
    old = results(0)
    del old["world"]
    with pytest.raises(ValueError, match=r"of the miniature of release 0\.1\.0"):
        part_of_document([old], "training")


def test_without_results_the_document_says_so(tmp_path: Path) -> None:
    document = tmp_path / "training.md"
    document.write_text(f"{BEGIN}\nold\n{END}\n")
    assert main([str(document), str(tmp_path)]) == 0
    assert document.read_text() == f"{BEGIN}\nNo seed has been run yet.\n{END}\n"


def test_only_what_was_practised_has_curves() -> None:
    one = results(0)
    assert {*pictures([one])} == {"lessons", "practice", "wrong"}
    one["curves"]["without_final"] = one["curves"]["grpo"]
    assert "without" not in pictures([one])["practice"]
    del one["curves"]["grpo"]
    assert {*pictures([one])} == {"lessons"}


def test_a_picture_keeps_its_points_inside_and_its_words_harmless() -> None:
    curves = [TrainingCurve("x & y", [0, 50, 100], [0.0, 7.3, 2.0])]
    svg = draw("a < b", "steps", curves)
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    (points,) = paths(svg)
    assert len(points) == 3
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    assert {"a < b", "steps", "x & y"} <= {"".join(text.itertext()) for text in root.iter(f"{SVG}text")}
    assert draw("a < b", "steps", curves) == svg
    with pytest.raises(ValueError, match="nothing: there is nothing to plot"):
        draw("nothing", "steps", [])


def test_only_the_part_between_the_marks_is_written(tmp_path: Path) -> None:
    document = tmp_path / "training.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    (tmp_path / "seed-0.json").write_text(json.dumps(results(0)))
    assert main([str(document), str(tmp_path)]) == 0
    written = document.read_text()
    assert written.startswith(f"before\n{BEGIN}\nSeeds 0; 40 held-out scenes each.")
    assert written.endswith(f"{END}\nafter\n")
    assert "old" not in written
    assert (tmp_path / "practice.svg").read_text().startswith("<?xml")
    document.write_text("no marks\n")
    assert main([str(document), str(tmp_path)]) == 1


def test_the_document_says_what_the_results_say() -> None:
    """If this fails: python -m rsagent_training.miniature.report docs/training.md docs/training"""
    found = [json.loads(path.read_bytes()) for path in sorted((DOCS / "training").glob("seed-*.json"))]
    assert part_of_document(found, "training") in (DOCS / "training.md").read_text(encoding="utf-8")
    assert {f"{name}.svg" for name in pictures(found)} == {path.name for path in (DOCS / "training").glob("*.svg")}
