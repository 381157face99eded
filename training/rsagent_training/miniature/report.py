"""The miniature's tables and curves in docs/training.md, from the committed results of its seeds; never by hand.

    python -m rsagent_training.miniature.report docs/training.md docs/training

reads docs/training/seed-*.json, which are the `results.json` of runs that differ in their seed, and writes the part of
the document between its two marks and docs/training/*.svg.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsagent_training.miniature.curves import TrainingCurve, draw

BEGIN, END = "<!-- miniature: begin -->", "<!-- miniature: end -->"
ROWS = {
    "untrained": "untrained",
    "sft": "SFT",
    "rl_only": "RL only (GRPO from untrained)",
    "grpo": "SFT + GRPO",
    "control": "control: SFT goes on for GRPO's compute",
    "without_final": "SFT + GRPO without R_final",
    "without_process": "SFT + GRPO without R_process",
    "without_format": "SFT + GRPO without R_format",
    "final_alone": "SFT + GRPO with R_final alone",
    "process_alone": "SFT + GRPO with R_process alone",
}
"""Names in the results, and what they are called. Others are called by their name."""

PAIRS = (
    ("sft", "untrained"),
    ("grpo", "sft"),
    ("grpo", "control"),
    ("grpo", "rl_only"),
    ("control", "sft"),
    ("grpo", "without_final"),
    ("grpo", "without_process"),
    ("grpo", "without_format"),
    ("grpo", "final_alone"),
    ("grpo", "process_alone"),
)
PLOTTED = ("grpo", "rl_only")
"""Practices whose curves are drawn; all of them would hide each other."""

RESAMPLES = 10_000

SeedResults = Sequence[dict[str, Any]]
Values = Sequence[NDArray[np.float64]]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and scenes, its 95 % interval, and the mean of each seed."""

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate(seeds: Values) -> Estimate:
    """Estimate the mean of a number of every held-out scene, by seed.

    The interval is the percentile bootstrap's on two levels: seeds are drawn with replacement, then scenes within each
    that was drawn. With three seeds that is coarse, but it counts what differs from one training to the next.
    """
    random = np.random.default_rng(0)
    drawn = np.stack(
        [values[random.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1) for values in seeds]
    )
    means = np.empty((RESAMPLES, len(seeds)))
    for place in range(len(seeds)):
        # Each place takes another draw of scenes, also where one seed comes twice.
        rolled = np.roll(drawn, place * (RESAMPLES // len(seeds)), axis=1)
        means[:, place] = rolled[random.integers(0, len(seeds), RESAMPLES), np.arange(RESAMPLES)]
    low, high = np.percentile(means.mean(axis=1), [2.5, 97.5])
    own = tuple(float(values.mean()) for values in seeds)
    return Estimate(float(np.mean(own)), float(low), float(high), own)


def part_of_document(results: SeedResults, folder: str) -> str:
    """The part of the document between the marks.

    Args:
        results: One for each seed, of the same recipe.
        folder: Of the pictures, as the document links it.

    Raises:
        ValueError: The results are not of one recipe.
    """
    _check(results)
    scenes = len(results[0]["policies"]["sft"]["iou"])
    seeds = ", ".join(str(one["seed"]) for one in results)
    return "\n".join(
        [
            BEGIN,
            f"Seeds {seeds}; {scenes} held-out scenes each.",
            "",
            *_policies(results),
            "",
            *_pairs(results),
            "",
            *_corrections(results),
            "",
            *_limits(results),
            *_costs(results),
            "",
            *(f"![{name}]({folder}/{name}.svg)" for name in pictures(results)),
            END,
        ]
    )


def pictures(results: SeedResults) -> dict[str, str]:
    """The curves as SVG, by name of file."""
    lessons: list[TrainingCurve] = []
    practice: list[TrainingCurve] = []
    turns: list[TrainingCurve] = []
    for one in results:
        curves = one["curves"]
        done = 0.0
        for name in sorted(name for name in curves if name.startswith("sft-")):
            steps = [done + step for step in curves[name]["step"]]
            lessons.append(TrainingCurve(f"lesson {name.removeprefix('sft-')}", steps, curves[name]["loss"]))
            done = steps[-1]
        for name in PLOTTED:
            if name in curves:
                curve = curves[name]
                practice.append(TrainingCurve(_called(name), curve["step"], curve["episodes/iou"]))
                turns.append(TrainingCurve(_called(name), curve["step"], curve["episodes/turns"]))
    return {
        "lessons": draw("SFT: loss of a token", "optimizer steps, a line for each seed", lessons),
        "practice": draw("GRPO: IoU of sampled episodes", "optimizer steps, a line for each seed", practice),
        "turns": draw("GRPO: turns of sampled episodes", "optimizer steps, a line for each seed", turns),
    }


def _policies(results: SeedResults) -> list[str]:
    lines = [
        "| Policy | IoU | each seed | thing present | thing absent | turns | bad replies |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in _names(results):
        every = estimate(_values(results, name, "iou"))
        present = estimate(_values(results, name, "iou", where=lambda row: not row["absent"]))
        absent = estimate(_values(results, name, "iou", where=lambda row: row["absent"]))
        turns, bad = (
            np.mean([np.mean(values) for values in _values(results, name, of)]) for of in ("turns", "bad_replies")
        )
        own = ", ".join(f"{mean:.2f}" for mean in every.seeds)
        lines.append(
            f"| {_called(name)} | {every} | {own} | {present.mean:.2f} | {absent.mean:.2f} | {turns:.2f} | {bad:.2f} |"
        )
    return lines


def _pairs(results: SeedResults) -> list[str]:
    lines = ["| On the same scenes | IoU gained | each seed |", "|---|---|---|"]
    for after, before in PAIRS:
        if {after, before} <= {*_names(results)}:
            both = zip(_values(results, after, "iou"), _values(results, before, "iou"), strict=True)
            gained = estimate([one - other for one, other in both])
            own = ", ".join(f"{mean:+.2f}" for mean in gained.seeds)
            lines.append(f"| {_called(after)}, over {_called(before)} | {gained} | {own} |")
    return lines


def _corrections(results: SeedResults) -> list[str]:
    lines = [
        "| Policy | IoU of the first mask | first masks that were wrong (IoU < 0.5) | of these, right in the end |",
        "|---|---|---|---|",
    ]
    for name in _names(results):
        first = np.concatenate(_values(results, name, "first", where=lambda row: row["first"] is not None))
        last = np.concatenate(_values(results, name, "iou", where=lambda row: row["first"] is not None))
        wrong = first < 0.5
        righted = f"{np.mean(last[wrong] >= 0.5):.0%}" if wrong.any() else "-"
        mean = f"{first.mean():.2f}" if len(first) else "-"
        lines.append(f"| {_called(name)} | {mean} | {wrong.sum()} of {len(first)} | {righted} |")
    return lines


def _limits(results: SeedResults) -> list[str]:
    """IoU by the turns that evaluation allows, and an empty line; nothing where that was not asked for."""
    limited = [one.get("limited", {}) for one in results]
    names = [name for name in limited[0] if limited[0][name]]
    if not names or any(one.keys() != limited[0].keys() for one in limited):
        return []
    lines = [f"| Turns at most | {' | '.join(map(_called, names))} |", "|---" * (1 + len(names)) + "|"]
    for limit in limited[0][names[0]]:
        means = (str(estimate([np.array(one[name][limit]) for one in limited])) for name in names)
        lines.append(f"| {limit} | {' | '.join(means)} |")
    return [*lines, ""]


def _costs(results: SeedResults) -> list[str]:
    names = list(dict.fromkeys(name for one in results for name in one["seconds"]))
    trained = [name for name in names if name.startswith("sft-") or name in {*_names(results)} - {"untrained"}]
    lines = ["| Stage | minutes, each seed |", "|---|---|"]
    for name in trained:
        minutes = ", ".join(f"{one['seconds'][name] / 60:.1f}" for one in results if name in one["seconds"])
        lines.append(f"| {_called(name)} | {minutes} |")
    return lines


def _names(results: SeedResults) -> list[str]:
    """Policies that every seed has, in the order of ROWS."""
    common = [name for name in results[0]["policies"] if all(name in one["policies"] for one in results)]
    return [name for name in ROWS if name in common] + [name for name in common if name not in ROWS]


def _called(name: str) -> str:
    return ROWS.get(name, name)


def _values(
    results: SeedResults, policy: str, of: str, where: Callable[[dict[str, Any]], bool] = lambda _: True
) -> Values:
    found = []
    for one in results:
        columns = one["policies"][policy]
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        found.append(np.array([row[of] for row in rows if where(row)], dtype=np.float64))
    return found


def _check(results: SeedResults) -> None:
    seeds = [one["seed"] for one in results]
    recipes = [{**one["recipe"], "seed": None, "variants": None, "turn_limits": None} for one in results]
    if not results or len({*seeds}) < len(seeds) or any(recipe != recipes[0] for recipe in recipes):
        raise ValueError(f"the results must be of one recipe and different seeds; the seeds are {seeds}")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the document's part and the pictures. Returns the exit code."""
    parser = argparse.ArgumentParser(description="write the miniature's tables and curves into a document")
    parser.add_argument("document", type=Path, help="a Markdown file with the two marks")
    parser.add_argument("folder", type=Path, help="with seed-*.json; the pictures are written there")
    arguments = parser.parse_args(argv)
    results = [json.loads(path.read_bytes()) for path in sorted(arguments.folder.glob("seed-*.json"))]
    text = arguments.document.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        sys.stderr.write(f"{arguments.document} has no {BEGIN} and {END}\n")
        return 1
    before, _, rest = text.partition(BEGIN)
    part = part_of_document(results, arguments.folder.name)
    arguments.document.write_text(before + part + rest.partition(END)[2], encoding="utf-8")
    for name, svg in pictures(results).items():
        (arguments.folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
