"""Makes docs/reliability.md of what the fault matrix and the soak have written: `python test/faults/report.py`.

The page is this program's output alone; its text is in page.md. It is refused where a row is missing or not as it
should be, so that the page can't show what was not seen.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template
from textwrap import fill
from typing import Any

sys.path.extend(str(Path(__file__).resolve().parents[1] / part) for part in ("", "support"))

from faults.matrix import AIM, BOUND, Line, Row, load
from faults.rows import KINDS, ROWS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reliability.md"
TEMPLATE = Path(__file__).with_name("page.md")
SOAK = ROOT / "out/soak.json"
WIDTH = 120
"""Characters of a line of Markdown that is not of a table."""

HEAD = ("fault", "goals have to end as", "seen", "latest end", "next goal", "records")


def page(lines: dict[str, Line], soak: dict[str, Any]) -> str:
    """The whole page.

    Raises:
        ValueError: A row is missing, or was not as it should be.
    """
    missing = [row.fault for row in ROWS if row.fault not in lines]
    wrong = [row.fault for row in ROWS if row.fault in lines and not _good(row, lines[row.fault])]
    if missing or wrong:
        raise ValueError(f"missing: {missing}; not as they should be: {wrong}")
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        aim=f"{AIM:g}",
        bound=f"{BOUND:g}",
        summary=fill(_summary([lines[row.fault] for row in ROWS]), WIDTH),
        tables="\n\n".join(_table(kind, rows, lines) for kind, rows in KINDS.items()),
        seed=soak["seed"],
        soak=_soak(soak),
        course=", ".join(f"{megabytes:g}" for megabytes in soak["course_mb"]),
        endings=fill(", ".join(f"{count} {ending}" for ending, count in soak["endings"].items()), WIDTH),
    )


def _summary(lines: Sequence[Line]) -> str:
    beyond = [line.fault for line in lines if line.late > AIM]
    exceptions = f"; beyond the aim: {', '.join(beyond)}" if beyond else ""
    return (
        f"The last run: {len(lines)} faults, {sum(line.goals for line in lines)} goals, all as they should be. The "
        f"latest end was {max(line.late for line in lines):.2f} s after the goal was due{exceptions}. "
        f"{os.cpu_count()} cores ({platform.machine()}), CPython {platform.python_version()}, no GPU."
    )


def _table(kind: str, rows: Sequence[Row], lines: dict[str, Line]) -> str:
    cells = [HEAD, ("---",) * len(HEAD), *(_cells(row, lines[row.fault]) for row in rows)]
    return f"## {kind}\n\n" + "\n".join(map(_row, cells))


def _good(row: Row, line: Line) -> bool:
    return line.ok and line.expected == row.expected


def _cells(row: Row, line: Line) -> tuple[str, ...]:
    seen = ", ".join(f"{count} {ending}" for ending, count in sorted(line.ended.items()))
    records = {
        "kept": f"{line.recorded} of {line.with_image}",
        "one": f"{line.recorded} of {line.with_image}",
        "told": "the loss was told",
    }[row.records]
    fault = f"{row.fault} ({row.note})" if row.note else row.fault
    return fault, row.expected, seen, _latest(line.late), line.next_goal, records


def _latest(late: float) -> str:
    return "in time" if late <= 0 else f"{late:.2f} s late"


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _soak(figures: dict[str, Any]) -> str:
    (own, own_after), (rss, rss_after) = figures["own_mb"], figures["rss_mb"]
    took = f"{figures['goals']:,} in {figures['seconds'] / 60:.1f} min: {figures['per_second']:g} per second"
    rows = [
        ("figure", "measured", "bound"),
        ("---",) * 3,
        ("goals", took, ""),
        ("bounds that were missed", "; ".join(figures["wrong"]) or "none", "none"),
        ("resident memory of the node", f"{rss:g} MB, then {rss_after:g} MB: {figures['growth']:+.1%}", "<= 2 %"),
        ("of that, without libraries and what DDS shares", f"{own:g} MB, then {own_after:g} MB", ""),
    ]
    for key, name in (("threads", "threads"), ("files", "open files"), ("endpoints", "publishers and subscriptions")):
        begin, end = figures[key]
        rows.append((name, f"{begin}, then {end}", "no more"))
    return "\n".join(map(_row, rows))


def main() -> int:
    """Write the page; returns the exit code."""
    if not SOAK.exists():
        sys.stderr.write(f"{SOAK} is not there: run `make soak` first\n")
        return 1
    try:
        text = page(load(), json.loads(SOAK.read_text(encoding="utf-8")))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
