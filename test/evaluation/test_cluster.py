"""Workers through Ray: one cluster of two processes for all of these tests."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evaluation_cases import fake_models, write_drawn, write_scenes
from evaluation_workers import OpenDying, OpenFakes, OpenKilling, cannot_load

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.backends import Choice
from rsagent_ros.datasets import Dataset
from rsagent_ros.evaluation.cluster import MAX_ATTEMPTS, Workers
from rsagent_ros.evaluation.evaluator import EvaluationConfig, evaluate
from rsagent_ros.evaluation.report.tables import scores_csv
from rsagent_ros.evaluation.results import FILE, read_results

pytest.importorskip("ray", reason="pip install -e '.[scale]'")

SUPPORT = str(Path(__file__).resolve().parents[1] / "support")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    path = os.pathsep.join(filter(None, (SUPPORT, os.environ.get("PYTHONPATH"))))
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=100_000_000,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    yield
    ray.shutdown()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), 12)


def plan(scenes: Path, workers: int = 2, **more: Any) -> EvaluationConfig:
    count = Workers(workers) if workers else None
    return EvaluationConfig(Dataset("scenes", str(scenes)), Choice(), Budget(seconds=60.0), workers=count, **more)


def deterministic(out: Path) -> list[Any]:
    found = []
    for line in sorted(read_results(out / FILE)[1], key=lambda line: line.score.index):
        trace = line.whole_trace()
        assert trace is not None
        turns = tuple(replace(turn, reply_seconds=0.0, tool_seconds=0.0) for turn in trace.turns)
        found.append((line.score, line.mask, replace(trace, turns=turns, seconds=0.0)))
    return found


@pytest.mark.parametrize("in_flight", [1, 3])
def test_two_workers_give_what_one_process_gives(scenes: Path, tmp_path: Path, notes: Path, in_flight: int) -> None:
    alone = evaluate(plan(scenes, 0), tmp_path / "alone", models=fake_models)
    both = evaluate(plan(scenes, in_flight=in_flight), tmp_path / "both", models=OpenFakes(notes))
    assert scores_csv(alone.scores) == scores_csv(both.scores)
    assert deterministic(tmp_path / "alone") == deterministic(tmp_path / "both")
    loaded_in = [path.name.partition("-")[0] for path in notes.iterdir()]
    assert len(loaded_in) == len(set(loaded_in)) == 2  # each worker loads its models once


@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_worker_that_dies_costs_no_sample(scenes: Path, tmp_path: Path, notes: Path, in_flight: int) -> None:
    alone = evaluate(plan(scenes, 0), tmp_path / "alone", models=fake_models)
    died = evaluate(plan(scenes, in_flight=in_flight), tmp_path / "died", models=OpenDying(notes, at=3, deaths=2))
    assert len(list(notes.iterdir())) == 2, "nobody died"
    assert sum(one.attempts - 1 for one in died.measured) >= 2
    assert scores_csv(died.scores) == scores_csv(alone.scores)
    assert deterministic(tmp_path / "alone") == deterministic(tmp_path / "died")


def test_a_sample_that_no_worker_survives_has_failed(scenes: Path, tmp_path: Path, notes: Path) -> None:
    few = plan(scenes, 1, limit=2)
    found = evaluate(few, tmp_path / "out", models=OpenDying(notes, at=1, deaths=MAX_ATTEMPTS))
    lost, answered = sorted(found.scores, key=lambda score: score.answered)
    assert (lost.outcome, lost.error_code, lost.iou) == (Outcome.FAILED, "INTERNAL", 0)
    assert "died 3 times" in lost.error_msg
    assert answered.outcome is Outcome.FOUND


def test_a_sample_that_no_worker_survives_takes_no_other_with_it(scenes: Path, tmp_path: Path) -> None:
    found = evaluate(plan(scenes, 1, in_flight=3), tmp_path / "out", models=OpenKilling("the thing 7"))
    assert len(found.scores) == 12
    assert [score.id for score in found.scores if score.error_code] == ["s007"]


def test_models_that_cannot_be_loaded_are_said_to_be(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="could not load its models"):
        evaluate(plan(scenes, 1), tmp_path, models=cannot_load)


def test_real_models_are_loaded_by_name_in_the_workers(tmp_path: Path) -> None:
    real = EvaluationConfig(
        Dataset("masks", str(write_drawn(tmp_path))), Choice(), Budget(seconds=60.0), workers=Workers(1)
    )
    assert [str(score.outcome) for score in evaluate(real, tmp_path / "out").scores] == ["found", "not_in_view"]


def test_workers_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="can't be"):
        Workers(0)
