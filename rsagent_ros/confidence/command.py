"""`rsagent calibrate`: from evaluations to calibration.json, and a table of what each threshold keeps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_command(commands: Commands) -> None:
    """Add `calibrate` to the subcommands of `rsagent`."""
    parser = commands.add_parser(
        "calibrate",
        help="fit calibrated confidences",
        description="Fit a calibration to the answers of evaluations: results.jsonl of `rsagent evaluate`, all of one "
        "policy and segmenter. Prints what it is worth, each answer judged by a calibration that was not fitted to it.",
    )
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULTS", help="results.jsonl, or the folder with it")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="calibration to write; must not exist")
    parser.add_argument("--method", choices=("auto", "platt", "isotonic"), default="auto", help="default: %(default)s")
    parser.set_defaults(command=_run, parser=parser)


def _run(arguments: argparse.Namespace) -> int:
    import numpy as np

    from rsagent_ros.confidence.calibrate import calibrate, out_of_fold, vectors
    from rsagent_ros.confidence.calibration import raw_confidence, save
    from rsagent_ros.confidence.judged import judged

    if arguments.out.exists():
        arguments.parser.error(f"{arguments.out} exists already, not overwriting; choose another name")
    try:
        files = [path / "results.jsonl" if path.is_dir() else path for path in arguments.results]
        answers = [answer for path in files for answer in judged(path)]
        calibration = calibrate(answers, arguments.method)
    except ValueError as error:
        sys.stderr.write(f"rsagent calibrate: {error}\n")
        return 1
    evidence = vectors(answers)
    right = np.array([answer.right for answer in answers])
    after = out_of_fold(evidence, right, calibration.kind)
    save(calibration, arguments.out)
    sys.stdout.write(report(raw_confidence(evidence), after, right, calibration.kind))
    sys.stdout.write(f"{arguments.out}: {calibration.kind}, from {calibration.count} answers\n")
    return 0


def report(before: NDArray[np.float64], after: NDArray[np.float64], right: NDArray[np.bool_], kind: str) -> str:
    """The table that is printed: (n,) confidences before and after, and whether the answers were right."""
    from rsagent_ros.confidence.measures import LEVELS, kept, worth

    lines = [f"{len(right)} answers FOUND, {right.mean():.0%} right", "", f"{'':<22}{'before':>8}  {kind:>8}"]
    rows = zip(("calibration error", "Brier score", "risk-coverage area"), ("ece", "brier", "aurc"), strict=True)
    first, second = worth(before, right), worth(after, right)
    lines += [f"{words:<22}{getattr(first, name):>8.3f}  {getattr(second, name):>8.3f}" for words, name in rows]
    lines += ["", f"{'threshold':<22}{'kept':>8}  {'right':>8}"]
    for level in LEVELS:
        share, good = kept(after, right, level)
        lines.append(f"{level:<22g}{share:>8.0%}  {'-' if good is None else f'{good:.0%}':>8}")
    return "\n".join(lines) + "\n\n"
