"""The file of results: whole lines only, one run, one writer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from evaluation_cases import scored

from rsagent_ros.agent.turn import Trace
from rsagent_ros.evaluation.results import (
    FILE,
    NO_TRACE,
    ExampleResult,
    Measured,
    RecordedTraces,
    Results,
    RunSettings,
    find_results,
    read_results,
)

RUN = RunSettings({"kind": "scenes"}, {"policy": "reference"}, {"seconds": 8.0}, seed=3)


def result(name: str, index: int = 0) -> ExampleResult:
    return ExampleResult(
        scored(name, index), Measured(0.5, 0.25, 0.125, 7), {"size": [2, 2], "counts": "4"}, ("odd",), NO_TRACE
    )


def test_lines_come_back_as_they_were(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as results:
        results.add(result("b", 1))
        results.add(result("a", 0))
    run, lines = read_results(tmp_path / FILE)
    assert run == RUN
    found = list(lines)
    assert [one.score for one in found] == [result("b", 1).score, result("a", 0).score]
    assert found[0].measured == Measured(0.5, 0.25, 0.125, 7)
    assert (found[0].mask, found[0].remarks, found[0].whole_trace()) == (
        {"size": [2, 2], "counts": "4"},
        ("odd",),
        None,
    )


def test_every_cut_of_the_last_line_is_gone_on_from(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as results:
        results.add(result("a"))
        results.add(result("b", 1))
    whole = (tmp_path / FILE).read_bytes()
    second = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(second, len(whole), 37):
        (tmp_path / FILE).write_bytes(whole[:cut])
        with Results(tmp_path, RUN) as results:
            assert [one.id for one in results.scores] == ["a"]
            assert results.remarks == ["odd"]
            results.add(result("b", 1))
        assert (tmp_path / FILE).read_bytes() == whole


def test_a_cut_first_line_begins_again(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b'{"dataset": {"ki')
    with Results(tmp_path, RUN) as results:
        assert results.scores == []
    assert read_results(tmp_path / FILE)[0] == RUN


def test_another_run_is_refused_and_not_touched(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as results:
        results.add(result("a"))
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(ValueError, match="its seed is 3, now 4; use another --out"):
        Results(tmp_path, replace(RUN, seed=4))
    assert (tmp_path / FILE).read_bytes() == before
    with pytest.raises(FileExistsError, match="not overwriting"):
        Results(tmp_path, RUN, go_on=False)


def test_two_writers_are_refused(tmp_path: Path) -> None:
    with Results(tmp_path, RUN), pytest.raises(OSError, match="another process"):
        Results(tmp_path, RUN)
    with Results(tmp_path, RUN):
        pass


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as results:
        results.add(result("a"))
        results.add(result("b", 1))
    lines = (tmp_path / FILE).read_text().splitlines()
    (tmp_path / FILE).write_text("\n".join([lines[0], "{}", lines[2]]) + "\n")
    with pytest.raises(ValueError, match="line 2"):
        list(read_results(tmp_path / FILE)[1])
    (tmp_path / FILE).write_text(json.dumps({**json.loads(lines[0]), "version": 9}) + "\n")
    with pytest.raises(ValueError, match="version 9"):
        read_results(tmp_path / FILE)
    with pytest.raises(FileNotFoundError, match="rsagent evaluate"):
        read_results(tmp_path / "none")


def test_lines_and_traces_by_id(tmp_path: Path) -> None:
    trace = Trace("b", "the thing", 8, 6, 4)
    with Results(tmp_path, RUN) as results:
        results.add(result("a"))
        results.add(msgspec.structs.replace(result("b", 1), trace=msgspec.Raw(trace.to_json().encode())))
    assert list(find_results(tmp_path / FILE, {"b", "c"})) == ["b"]
    traces = RecordedTraces(tmp_path / FILE)
    assert list(traces) == ["a", "b"]
    assert traces["b"] == trace
    with pytest.raises(KeyError):
        traces["a"]
    traces.close()


def test_of_several_lines_about_one_example_the_last_counts(tmp_path: Path) -> None:
    again = msgspec.structs.replace(result("a"), score=scored("a", iou=0.25), remarks=("anew",))
    for _ in range(2):  # while it is written, and when it is gone on with
        with Results(tmp_path, RUN) as results:
            if not results.scores:
                for one in (result("a"), result("b", 1), again):
                    results.add(one)
            assert [(score.id, score.iou) for score in results.scores] == [("a", 0.25), ("b", 1.0)]
            assert results.remarks == ["anew", "odd"]
    assert find_results(tmp_path / FILE, {"a"})["a"].score.iou == 0.25
