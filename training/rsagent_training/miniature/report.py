"""The miniature's tables and curves in docs/training.md, from the committed results of its seeds; never by hand.

    python -m rsagent_training.miniature.report docs/training.md docs/training

reads docs/training/seed-*.json, which are the `results.json` of runs that differ in their seed, and writes the part of
the document between its two marks and docs/training/*.svg. Seeds that are not through all stages count where they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsagent_training.miniature.curves import TrainingCurve, draw
from rsagent_training.miniature.statistics import SeedResults, estimate, seeds_with, values

BEGIN, END = "<!-- miniature: begin -->", "<!-- miniature: end -->"
ROWS = {
    "untrained": "untrained",
    "sft": "SFT",
    "control": "control: SFT goes on for GRPO's compute",
    "grpo": "SFT + GRPO",
    "rft": "RFT: right rollouts learned",
    "without_final": "SFT + GRPO without R_final",
    "without_process": "SFT + GRPO without R_process",
    "without_format": "SFT + GRPO without R_format",
    "turn_credit": "SFT + GRPO, credit by turn",
    "undivided": "SFT + GRPO, advantages not divided",
    "rl_only": "RL only (GRPO from untrained)",
}
"""Names in the results, and what they are called. Others are called by their name."""

PAIRS = (
    ("grpo", "sft"),
    ("control", "sft"),
    ("rft", "sft"),
    ("grpo", "control"),
    ("rft", "control"),
    ("grpo", "rft"),
    ("grpo", "without_final"),
    ("grpo", "without_process"),
    ("grpo", "without_format"),
    ("grpo", "turn_credit"),
    ("grpo", "undivided"),
    ("grpo", "rl_only"),
)
PLOTTED = ("grpo", "rl_only")
"""Practices whose curves are drawn; all of them would hide each other."""

RATES = {
    "right": "right", "wrong_found": "wrong FOUND", "wrong_absent": "wrong absent", "gave_up": "gave up",
    "asked": "asked", "turns": "turns", "bad_replies": "bad replies",
}  # fmt: skip

MORE_GIVEN_UP = 0.05
"""A policy that gives up on things that are there by so much more than SFT is told so in the table."""


def part_of_document(results: SeedResults, folder: str) -> str:
    """The part of the document between the marks.

    Args:
        results: One for each seed, of the same recipe; there may be none yet.
        folder: Of the pictures, as the document links it.

    Raises:
        ValueError: The results are not of one recipe, or of the world of release 0.1.0.
    """
    if not results:
        return f"{BEGIN}\nNo seed has been run yet.\n{END}"
    _check(results)
    limits = _limits(results)
    scenes = len(next(iter(results[0]["policies"].values()))[limits[0]]["iou"])
    seeds = ", ".join(str(one["seed"]) for one in results)
    shown = [limits[len(limits) // 3], limits[-2 if len(limits) > 1 else -1]]
    return "\n".join(
        [
            BEGIN,
            f"Seeds {seeds}; {scenes} held-out scenes each.",
            "",
            *_policies(results, limits),
            *_pairs(results, limits),
            *(line for limit in dict.fromkeys(shown) for line in ("", *_rates(results, limit))),
            "",
            *_costs(results),
            "",
            *(f"![{name}]({folder}/{name}.svg)" for name in pictures(results)),
            END,
        ]
    )


def pictures(results: SeedResults) -> dict[str, str]:
    """The curves as SVG, by name of file; those without a point are left out."""
    lessons: list[TrainingCurve] = []
    practice: list[TrainingCurve] = []
    wrong: list[TrainingCurve] = []
    for one in results:
        curves = one["curves"]
        if "sft" in curves:
            lessons.append(TrainingCurve("SFT", curves["sft"]["step"], curves["sft"]["loss"]))
        for name in PLOTTED:
            if name in curves:
                curve = curves[name]
                practice.append(TrainingCurve(_called(name), curve["step"], curve["episodes/iou"]))
                wrong.append(TrainingCurve(_called(name), curve["step"], curve["episodes/wrong_found"]))
    titled = {
        "lessons": ("SFT: loss of a token", lessons),
        "practice": ("GRPO: IoU of sampled episodes", practice),
        "wrong": ("GRPO: wrong FOUND in sampled episodes", wrong),
    }
    axis = "optimizer steps, a line for each seed"
    return {name: draw(title, axis, curves) for name, (title, curves) in titled.items() if curves}


def _policies(results: SeedResults, limits: Sequence[str]) -> list[str]:
    """IoU under every limit; a policy that fewer seeds have says so."""
    lines = [f"| IoU, turns at most | {' | '.join(limits)} |", "|---" * (1 + len(limits)) + "|"]
    for name in _names(results):
        cells = []
        count = len(results)
        for limit in limits:
            having = seeds_with(results, name, limit=limit)
            count = min(count, len(having))
            cells.append(str(estimate([values(one, name, limit, "iou") for one in having])) if having else "-")
        lines.append(f"| {_called(name)}{_seeds(count, results)} | {' | '.join(cells)} |")
    return lines


def _pairs(results: SeedResults, limits: Sequence[str]) -> list[str]:
    """Differences under every limit, after an empty line; nothing where no two policies are compared."""
    lines = ["", f"| IoU gained on the same scenes | {' | '.join(limits)} |", "|---" * (1 + len(limits)) + "|"]
    for after, before in PAIRS:
        if not {after, before} <= {*_names(results)}:
            continue
        cells = []
        count = len(results)
        for limit in limits:
            having = seeds_with(results, after, before, limit=limit)
            count = min(count, len(having))
            pairs = [values(one, after, limit, "iou") - values(one, before, limit, "iou") for one in having]
            cells.append(_signed(pairs) if pairs else "-")
        lines.append(f"| {_called(after)}, over {_called(before)}{_seeds(count, results)} | {' | '.join(cells)} |")
    return lines if len(lines) > 3 else []


def _signed(pairs: Sequence[Any]) -> str:
    gained = estimate(pairs)
    return f"{gained.mean:+.3f} [{gained.low:+.3f}, {gained.high:+.3f}]"


def _rates(results: SeedResults, limit: str) -> list[str]:
    """Rates of endings under one limit of turns."""
    lines = [f"| At most {limit} turns | {' | '.join(RATES.values())} |", "|---" * (1 + len(RATES)) + "|"]
    base = _given_up(results, "sft", limit)
    for name in _names(results):
        having = seeds_with(results, name, limit=limit)
        if not having:
            continue
        means = {rate: np.mean([values(one, name, limit, rate).mean() for one in having]) for rate in RATES}
        given_up = _given_up(results, name, limit)
        more = ""
        if base is not None and given_up is not None and given_up > base + MORE_GIVEN_UP:
            more = f" (of things that are there {given_up:.2f}, SFT {base:.2f})"
        cells = [f"{mean:.2f}" + (more if rate == "gave_up" else "") for rate, mean in means.items()]
        lines.append(f"| {_called(name)} | {' | '.join(cells)} |")
    return lines


def _given_up(results: SeedResults, policy: str, limit: str) -> float | None:
    """Share of the things that are there on which a policy gave up."""
    shares = []
    for one in seeds_with(results, policy, limit=limit):
        present = values(one, policy, limit, "absent") == 0
        shares.append(float(values(one, policy, limit, "gave_up")[present].mean()))
    return float(np.mean(shares)) if shares else None


def _costs(results: SeedResults) -> list[str]:
    trained = [name for name in _names(results) if name != "untrained"]
    lines = ["| Stage | minutes, each seed |", "|---|---|"]
    for name in ("rollouts", *trained):
        minutes = [f"{one['seconds'][name] / 60:.1f}" for one in results if name in one["seconds"]]
        if minutes:
            lines.append(f"| {_called(name)} | {', '.join(minutes)} |")
    return lines


def _names(results: SeedResults) -> list[str]:
    """Policies of any seed, in the order of ROWS."""
    found = list(dict.fromkeys(name for one in results for name in one["policies"] if one["policies"][name]))
    return [name for name in ROWS if name in found] + [name for name in found if name not in ROWS]


def _limits(results: SeedResults) -> list[str]:
    found = {limit for one in results for under in one["policies"].values() for limit in under}
    return sorted(found, key=int)


def _called(name: str) -> str:
    return ROWS.get(name, name)


def _seeds(count: int, results: SeedResults) -> str:
    return "" if count == len(results) else f" ({count} seed{'s' if count != 1 else ''})"


def _check(results: SeedResults) -> None:
    if any(one.get("world") != "search" for one in results):
        raise ValueError(
            "the results are of the miniature of release 0.1.0, which was another world; run `make miniature` again"
        )
    seeds = [one["seed"] for one in results]
    recipes = [{**one["recipe"], "seed": None, "variants": None, "turn_limits": None} for one in results]
    if len({*seeds}) < len(seeds) or any(recipe != recipes[0] for recipe in recipes):
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
    try:
        part = part_of_document(results, arguments.folder.name)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    arguments.document.write_text(before + part + rest.partition(END)[2], encoding="utf-8")
    for name, svg in pictures(results).items():
        (arguments.folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
