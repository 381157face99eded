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
from rsagent_training.miniature.report import BEGIN, END, estimate, main, part_of_document, pictures

PAIR = re.compile(r"[ML] (\S+) (\S+)")
SVG = "{http://www.w3.org/2000/svg}"
DOCS = Path(__file__).resolve().parents[3] / "docs"


def columns(iou: list[float]) -> dict[str, list[Any]]:
    count = len(iou)
    absent = [number % 4 == 3 for number in range(count)]
    first = [None if gone else value / 2 for gone, value in zip(absent, iou, strict=True)]
    return {"iou": iou, "absent": absent, "first": first, "turns": [2] * count, "bad_replies": [0] * count}


def results(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    policies = {
        name: columns(np.clip(rng.normal(mean, 0.05, 40), 0, 1).tolist())
        for name, mean in (("grpo", 0.8), ("untrained", 0.0), ("sft", 0.5), ("mine", 0.6))
    }
    curves = {
        "sft-1": {"step": [1, 2], "loss": [4.0, 2.0]},
        "sft-2": {"step": [1, 2], "loss": [2.0, 1.0]},
        "grpo": {"step": [1, 2], "reward": [0.1, 0.3], "episodes/iou": [0.2, 0.4], "episodes/turns": [2.0, 2.5]},
    }
    return {
        "seed": seed, "policies": policies, "curves": curves, "recipe": {"seed": seed, "batch": 4, "variants": []},
        "seconds": {"sft-1": 60.0, "sft-2": 90.0, "grpo": 120.0, "merge sft": 1.0},
    }  # fmt: skip


def paths(svg: str) -> list[list[tuple[float, float]]]:
    """The points of each curve."""
    axes = next(group for group in ElementTree.fromstring(svg).iter(f"{SVG}g") if group.get("id") == "axes_1")
    lines = [group for group in axes.findall(f"{SVG}g") if group.get("id", "").startswith("line2d")]
    return [[(float(x), float(y)) for x, y in PAIR.findall(line[0].attrib["d"])] for line in lines]


def test_rows_stand_in_order_with_intervals_and_each_seed() -> None:
    part = part_of_document([results(0), results(1)], "training")
    assert part.startswith(BEGIN)
    assert part.endswith(END)
    rows = [line.split(" | ")[0].removeprefix("| ") for line in part.splitlines() if line.startswith("| ")]
    policies = rows[rows.index("Policy") + 1 : rows.index("On the same scenes")]
    assert policies == ["untrained", "SFT", "SFT + GRPO", "mine"]
    (gained,) = (line for line in part.splitlines() if line.startswith("| SFT + GRPO, over SFT |"))
    mean, low, high = (float(word.strip("[],|")) for word in gained.split("|")[2].split())
    assert 0.25 < low < mean < high < 0.35
    (minutes,) = (line for line in part.splitlines() if line.startswith("| sft-2 |"))
    assert minutes == "| sft-2 | 1.5, 1.5 |"


def test_limits_of_turns_have_a_table_where_they_were_tried() -> None:
    limited = {"limited": {"sft": {"1": [0.0, 0.5]}, "grpo": {"1": [0.5, 0.5]}}}
    part = part_of_document([results(0) | limited, results(1) | limited], "training")
    assert "| Turns at most | SFT | SFT + GRPO |" in part
    assert "| 1 | 0.250 [" in part
    assert "| 0.500 [0.500, 0.500] |" in part
    assert "Turns at most" not in part_of_document([results(0), results(1)], "training")


def test_an_interval_holds_what_seeds_differ_by() -> None:
    same = estimate([np.full(50, 0.5), np.full(50, 0.5)])
    assert (same.low, same.mean, same.high) == (0.5, 0.5, 0.5)
    apart = estimate([np.full(50, 0.2), np.full(50, 0.8)])
    assert (apart.low, apart.high) == pytest.approx((0.2, 0.8))
    rng = np.random.default_rng(0)
    alone = estimate([rng.normal(0.5, 0.1, 400)])
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * 0.1 / 20, rel=0.1)


def test_results_of_two_recipes_are_refused() -> None:
    other = results(1)
    other["recipe"]["batch"] = 8
    with pytest.raises(ValueError, match="of one recipe and different seeds"):
        part_of_document([results(0), other], "training")
    with pytest.raises(ValueError, match=r"the seeds are \[0, 0\]"):
        part_of_document([results(0), results(0)], "training")


def test_lessons_follow_one_another_on_the_axis() -> None:
    first, second = paths(pictures([results(0)])["lessons"])
    assert max(x for x, _ in first) < min(x for x, _ in second)


def test_other_rewards_have_rows_and_differences_but_no_curves() -> None:
    ones = [results(seed) for seed in (0, 1)]
    for one in ones:
        one["policies"]["without_final"] = one["policies"]["sft"]
        one["curves"]["without_final"] = one["curves"]["grpo"]
    part = part_of_document(ones, "training")
    assert part.count("| SFT + GRPO without R_final | ") == 2  # masks at the end, and corrections
    gained = [line.split(" | ")[1:] for line in part.splitlines() if line.startswith("| SFT + GRPO, over ")]
    assert len(gained) == 2  # over SFT, and over its copy
    assert gained[0] == gained[1]
    assert "without" not in pictures(ones)["practice"]


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
