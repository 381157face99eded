"""When a comparison may go on, and with what. Without DDS: its process is a stand-in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import rclpy

from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.shadow import shadow_comparison as module
from rsagent_ros.ros.shadow.shadow_comparison import ShadowComparison
from rsagent_ros.ros.tracking.tracking import Tracking
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.shadow.paired_result import PairedResult

PATIENCE = 20.0


class Process:
    """Remembers what it was told."""

    state, problem, starts = "waiting", "", 0
    result: PairedResult | None = None

    def __init__(self, command: list[str], folder: Path) -> None:
        self.command = command
        self.told: list[str] = []
        self.went = threading.Event()
        Process.newest = self

    newest: Process

    def go(self) -> None:
        self.told.append("go")
        self.went.set()

    def pause(self) -> None:
        self.told.append("pause")

    def close(self) -> None:
        self.told.append("close")


class Node:
    """What a comparison needs of a node.

    Attributes:
        tracked: Number of objects that are tracked.
    """

    def __init__(self, folder: Path) -> None:
        (folder / "candidate.yaml").write_text("view_side: 128")
        self.tracked = 0
        self.parameters = NodeParameters(
            candidate=str(folder / "candidate.yaml"), record_dir=str(folder / "records"), shadow_idle=0.3
        )
        self.comparison = ShadowComparison(rclpy.logging.get_logger("test"), lambda: self.parameters)

    def facts(self) -> dict[str, object]:
        return {"followed": self.tracked}

    def set(self, **parameters: Any) -> None:
        self.parameters = NodeParameters(**{**vars(self.parameters), **parameters})

    def open(self) -> Process:
        self.comparison.open(self.parameters, CandidateModels(), cast(Tracking, self))
        return Process.newest


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(module, "ShadowProcess", Process)
    node = Node(tmp_path)
    yield node
    node.comparison.close()


def test_it_runs_after_the_idle_time_and_pauses_in_the_callers_thread(node: Node) -> None:
    process = node.open()
    assert process.went.wait(PATIENCE)
    node.comparison.goal_begun()
    assert process.told[-1] == "pause"
    node.comparison.goal_ended()
    node.comparison.close()
    assert process.told[-1] == "close"


def test_it_does_not_run_while_there_is_a_goal(node: Node) -> None:
    node.comparison.goal_begun()
    node.comparison.goal_begun()
    process = node.open()
    node.comparison.goal_ended()
    time.sleep(3 * module.TICK)
    assert "go" not in process.told
    node.comparison.goal_ended()
    assert process.went.wait(PATIENCE)


def test_it_does_not_run_while_something_is_tracked(node: Node) -> None:
    node.tracked = 1
    process = node.open()
    time.sleep(3 * module.TICK)
    assert "go" not in process.told
    node.tracked = 0
    assert process.went.wait(PATIENCE)


def test_the_comparison_has_the_nodes_budget(node: Node) -> None:
    node.set(time_budget=3.0, max_turns=5, shadow_goals=40, second_look=True)
    command = node.open().command
    for words in (["--budget", "3.0"], ["--max-turns", "5"], ["--goals", "40"]):
        assert words == command[command.index(words[0]) :][:2]
    assert "--second-look" in command


def test_a_candidate_that_is_active_already_is_not_compared(node: Node) -> None:
    Path(node.parameters.candidate).write_text("policy: reference")
    node.comparison.open(node.parameters, CandidateModels(), cast(Tracking, node))
    assert node.comparison.facts() == {}
    assert (node.comparison.candidate, node.comparison.problem) == (None, "")


def test_what_hindered_a_comparison_is_forgotten_when_it_is_mended(node: Node) -> None:
    good = node.parameters
    node.set(candidate="~nobody-is-called-so/candidate.yaml")
    node.comparison.open(node.parameters, CandidateModels(), cast(Tracking, node))
    assert "home directory" in node.comparison.problem
    node.comparison.open(good, CandidateModels(), cast(Tracking, node))
    assert node.comparison.problem == ""
    assert "comparison" in node.comparison.facts()
