"""docs/reliability.md shows the matrix as it is: every row, with the same expectation, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from faults import report
from faults.matrix import Line, Row
from faults.rows import KINDS, ROWS

SOAK = {
    "goals": 10_000,
    "seconds": 600.0,
    "per_second": 16.7,
    "seed": 0,
    "endings": {"FOUND": 10_000},
    "own_mb": [95.0, 95.5],
    "rss_mb": [180.0, 181.0],
    "growth": 0.0056,
    "course_mb": [179.0, 180.0, 181.0],
    "threads": [26, 26],
    "files": [23, 23],
    "endpoints": [17, 17],
    "wrong": [],
}


def seen() -> dict[str, Line]:
    """A run in which all went well."""
    return {row.fault: well(row) for row in ROWS}


def well(row: Row) -> Line:
    return Line(
        fault=row.fault,
        expected=row.expected,
        ended={(*row.ends, *row.may)[0]: 2},
        goals=2,
        records=row.records,
        late=0.1,
        next_goal="FOUND",
        with_image=1,
        recorded=1,
        ok=True,
    )


def faults_and_endings(page: str) -> list[tuple[str, str]]:
    """The first two columns of all tables of faults."""
    cells = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [(row[0], row[1]) for row in cells if len(row) == len(report.HEAD) and row[0] not in ("---", report.HEAD[0])]


def named(row_fault: str, note: str) -> str:
    return f"{row_fault} ({note})" if note else row_fault


def test_every_fault_has_a_name_of_its_own() -> None:
    assert len({row.fault for row in ROWS}) == len(ROWS) == sum(map(len, KINDS.values()))


def test_the_page_has_every_row_with_its_expectation() -> None:
    wanted = [(named(row.fault, row.note), row.expected) for row in ROWS]
    assert faults_and_endings(report.PAGE.read_text(encoding="utf-8")) == wanted
    assert faults_and_endings(report.page(seen(), SOAK)) == wanted


def test_what_stands_on_the_page_beside_the_figures_is_what_the_program_writes() -> None:
    page = report.PAGE.read_text(encoding="utf-8")
    pieces = re.split(r"\$\w+", report.TEMPLATE.read_text(encoding="utf-8"))
    assert [piece for piece in pieces if piece not in page] == []


@pytest.mark.parametrize("change", ["missing", "wrong", "other expectation"])
def test_a_page_of_a_run_that_was_not_well_is_refused(change: str) -> None:
    lines = seen()
    fault = ROWS[3].fault
    match change:
        case "missing":
            del lines[fault]
        case "wrong":
            lines[fault] = replace(lines[fault], ok=False)
        case _:
            lines[fault] = replace(lines[fault], expected="FOUND")
    with pytest.raises(ValueError, match="policy raises an error"):
        report.page(lines, SOAK)


def test_a_soak_that_misses_a_bound_is_told() -> None:
    assert "| resident memory has grown by 9 % |" in report.page(
        seen(), SOAK | {"wrong": ["resident memory has grown by 9 %"]}
    )
