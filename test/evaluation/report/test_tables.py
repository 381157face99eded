"""JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from evaluation_cases import row

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.ref import Skipped
from rsagent_ros.evaluation.evaluator import Evaluated
from rsagent_ros.evaluation.report.summary import summarise
from rsagent_ros.evaluation.report.tables import LISTED, scores_csv, timings_csv, to_json, to_markdown
from rsagent_ros.evaluation.results import Measured, Run

RUN = Run(
    {"kind": "scenes", "path": "/data", "split": "", "images": ""},
    {"policy": "reference", "segmenter": "x", "settings": {}},
)
HOSTILE = "a|b\n| <script> `x` [y](z) *w*"


@pytest.fixture(scope="module")
def found() -> Evaluated:
    rows = [
        row("a", 0, instruction='=1+1, "quoted"', iou=1 / 3, category=HOSTILE),
        row("b", 1, outcome=Outcome.FAILED, iou=0.0, error_code="POLICY_FAILED", error_msg=HOSTILE),
    ]
    measured = [Measured(1.0, 0.5, 0.25), Measured(3.0, 2.0, 0.5, attempts=2)]
    skipped = [Skipped("c", HOSTILE, HOSTILE), Skipped("d", "place", "nobody gave a verdict on it", fault=False)]
    return Evaluated(RUN, rows, measured, skipped, [f"remark {number}" for number in range(LISTED + 5)])


@pytest.fixture(scope="module")
def summary(found: Evaluated) -> dict[str, Any]:
    return summarise(found)


def test_json_holds_everything_in_full(found: Evaluated, summary: dict[str, Any]) -> None:
    data = json.loads(to_json(summary))
    assert data["metrics"]["giou"]["value"] == (1 / 3) / 2
    assert data["failed"] == [{"id": "b", "outcome": "failed", "error_code": "POLICY_FAILED", "error_msg": HOSTILE}]
    assert data["error_codes"] == {"POLICY_FAILED": 1}
    assert [one["id"] for one in data["skipped"]] == ["c", "d"]
    assert len(data["remarks"]) == LISTED + 5
    assert data["measured"]["seconds"] == {"mean": 2.0, "p50": 2.0, "p95": pytest.approx(2.9)}
    assert data["measured"]["begun_again"] == 1
    assert data["run"]["dataset"] == RUN.dataset


def test_times_change_nothing_but_measured(found: Evaluated, summary: dict[str, Any]) -> None:
    slower = summarise(replace(found, measured=[Measured(9.0), Measured(9.0)]))
    assert slower != summary
    assert {**slower, "measured": 0} == {**summary, "measured": 0}


def test_scores_csv_comes_back(found: Evaluated) -> None:
    rows = list(csv.DictReader(io.StringIO(scores_csv(found.rows))))
    assert float(rows[0]["iou"]) == found.rows[0].iou
    assert rows[0]["instruction"] == '\'=1+1, "quoted"'  # no formula
    assert rows[1]["confidence"] == ""
    assert list(rows[0]) == list(asdict(found.rows[0]))


def test_timings_csv(found: Evaluated) -> None:
    rows = list(csv.DictReader(io.StringIO(timings_csv(found.rows, found.measured))))
    assert [(one["id"], one["seconds"], one["attempts"]) for one in rows] == [("a", "1.0", "1"), ("b", "3.0", "2")]


def test_markdown_says_what_was_skipped_and_stays_a_table(summary: dict[str, Any]) -> None:
    text = to_markdown(summary)
    assert "2 samples, 1 of them failed" in text
    assert "1 skipped for a fault in the data, 1 left out without a verdict" in text
    assert "and 5 more, in report.json" in text
    assert "<script>" not in text.replace("\\<script\\>", "")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    columns = {line.replace("\\|", "").count("|") for line in tables if "a\\|b" in line}
    assert columns == {9}, "a text from outside broke a table"
