"""Line and branch coverage of each package: `coverage_by_package.py FILE`, after a run of pytest with `--cov`.

Prints a table, and writes it to FILE as JSON. A package is a folder of rsagent_ros or of rsagent_training; the modules
beside these folders are counted under the name of the whole.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import coverage

COUNTS = ("num_statements", "covered_lines", "num_branches", "covered_branches")
"""Counts of a file, as coverage.py's JSON report names them."""

Row = dict[str, float | int | None]


def package_of(file: str) -> str:
    """The package of a source file: `rsagent_ros/agent` of `rsagent_ros/agent/mask.py`."""
    parts = Path(file).parts
    start = next((number for number, part in enumerate(parts) if part in ("rsagent_ros", "rsagent_training")), 0)
    return "/".join(parts[start:-1][:2])


def percent(covered: int, of: int) -> float | None:
    """Two decimals; None of nothing."""
    return round(100 * covered / of, 2) if of else None


def by_package(files: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Row]:
    """A row for each package, by name, and one for `all`.

    Args:
        files: Each file's path and its `summary` of coverage.py's JSON report.
    """
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for file, summary in files:
        for name in (package_of(file), "all"):
            sums[name].update({count: summary[count] for count in COUNTS})
    return {
        name: {
            "lines": sums[name]["num_statements"],
            "line_percent": percent(sums[name]["covered_lines"], sums[name]["num_statements"]),
            "branches": sums[name]["num_branches"],
            "branch_percent": percent(sums[name]["covered_branches"], sums[name]["num_branches"]),
        }
        for name in sorted(sums, key=lambda name: (name == "all", name))
    }


def table(rows: Mapping[str, Row]) -> str:
    """The rows for a terminal."""
    lines = [f"{'package':<32}{'lines':>8}{'covered':>10}{'branches':>10}{'covered':>10}"]
    for name, row in rows.items():
        shares = ["-" if share is None else f"{share:.1f} %" for share in (row["line_percent"], row["branch_percent"])]
        lines.append(f"{name:<32}{row['lines']:>8}{shares[0]:>10}{row['branches']:>10}{shares[1]:>10}")
    return "\n".join(lines)


def main() -> int:
    """Run the program; returns its exit code."""
    out = Path(sys.argv[1])
    measured = coverage.Coverage()
    measured.load()
    out.parent.mkdir(parents=True, exist_ok=True)
    measured.json_report(outfile=str(out))
    report = json.loads(out.read_text(encoding="utf-8"))
    rows = by_package((file, content["summary"]) for file, content in report["files"].items())
    out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
