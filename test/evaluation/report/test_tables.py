"""JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from evaluation_cases import scored

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.ref import Skipped
from rsagent_ros.evaluation.evaluator import Evaluated
from rsagent_ros.evaluation.report.summary import summarise
from rsagent_ros.evaluation.report.tables import LISTED, scores_csv, timings_csv, to_json, to_markdown
from rsagent_ros.evaluation.results import Measured, RunSettings

RUN = RunSettings(
    {"kind": "scenes", "path": "/data", "split": "", "images": ""},
    {"policy": "reference", "segmenter": "x", "settings": {}},
)
HOSTILE = "a|b\n| <script> `x` [y](z) *w*"


@pytest.fixture(scope="module")
def found() -> Evaluated:
    rows = [
        scored("a", 0, instruction='=1+1, "quoted"', iou=1 / 3, category=HOSTILE),
        scored("b", 1, outcome=Outcome.FAILED, iou=0.0, error_code="POLICY_FAILED", error_msg=HOSTILE),
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
    rows = list(csv.DictReader(io.StringIO(scores_csv(found.scores))))
    assert float(rows[0]["iou"]) == found.scores[0].iou
    assert rows[0]["instruction"] == '\'=1+1, "quoted"'  # no formula
    assert rows[1]["confidence"] == ""
    assert list(rows[0]) == list(asdict(found.scores[0]))


def test_timings_csv(found: Evaluated) -> None:
    rows = list(csv.DictReader(io.StringIO(timings_csv(found.scores, found.measured))))
    assert [(one["id"], one["seconds"], one["attempts"]) for one in rows] == [("a", "1.0", "1"), ("b", "3.0", "2")]


def test_markdown_says_what_was_skipped_and_stays_a_table(summary: dict[str, Any]) -> None:
    text = to_markdown(summary)
    assert "2 samples, 1 of them failed" in text
    assert "1 skipped for a fault in the data, 1 left out without a verdict" in text
    assert "and 5 more, in report.json" in text
    assert "<script>" not in text.replace("\\<script\\>", "")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    columns = {line.replace("\\|", "").count("|") for line in tables if "a\\|b" in line}
    assert columns == {10}, "a text from outside broke a table"


def test_accepted_masks_of_the_agents_own_stand_apart() -> None:
    """An agent that answers as it did when somebody accepted it agrees with itself: that is no figure of quality."""
    own = [scored(f"own{number}", number, iou=1.0, self_judged=True) for number in range(3)]
    people = [scored("other", 3, iou=0.25)]
    summary = summarise(Evaluated(RUN, [*own, *people], [Measured()] * 4, [], []))
    assert {key: part["samples"] for key, part in summary["parts"].items()} == {"human": 1, "self_judged": 3}
    assert summary["parts"]["human"]["metrics"]["giou"]["value"] == 0.25
    assert summary["metrics"]["giou"]["value"] == pytest.approx(3.25 / 4)  # for readers of the file
    text = to_markdown(summary)
    assert "| gIoU | 0.250 |" in text
    assert text.index("| gIoU | 0.250 |") < text.index("| gIoU | 1.000 |")
    assert "| gIoU | 0.812 |" not in text


def test_nothing_is_told_apart_where_people_drew_every_mask(summary: dict[str, Any]) -> None:
    assert summary["parts"] == {}


def test_names_of_release_0_1_0_are_in_the_file_too(summary: dict[str, Any]) -> None:
    data = json.loads(to_json(summary))
    assert data["metrics"]["outcome"] == data["metrics"]["outcome_accuracy"]
    assert data["categories"][HOSTILE]["needless"] == data["categories"][HOSTILE]["unnecessary_clarification"]


def test_one_sample_has_no_interval() -> None:
    text = to_markdown(summarise(Evaluated(RUN, [scored()], [Measured()], [], [])))
    assert "| gIoU | 1.000 |  | 1 |" in text
    assert "1.000 to 1.000" not in text


def test_models_that_a_run_does_not_name_are_unknown(found: Evaluated) -> None:
    summary = summarise(replace(found, settings=replace(RUN, system={})))
    assert to_markdown(summary).startswith("# unknown policy and unknown segmenter on scenes (/data)\n")
