"""When a contest may go on, and with what. Without DDS: its process is a stand-in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import rclpy

from rsagent_ros.backends import Choice
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.shadow import shadowing as module
from rsagent_ros.ros.shadow.deciding import remember
from rsagent_ros.ros.shadow.shadowing import Shadowing
from rsagent_ros.shadow.candidate import Candidate
from rsagent_ros.shadow.paired_result import Standing
from rsagent_ros.shadow.promotion import Promotions

PATIENCE = 20.0


class Process:
    """Remembers what it was told."""

    state, problem, starts = "waiting", "", 0
    standing: Standing | None = None

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
    """What a Shadowing asks of a node."""

    def __init__(self, folder: Path) -> None:
        (folder / "candidate.yaml").write_text("view_side: 128")
        self.busy = False
        self.parameters = NodeParameters(
            candidate=str(folder / "candidate.yaml"), record_dir=str(folder / "records"), shadow_idle=0.3
        )
        self.switched = 0
        log = rclpy.logging.get_logger("test")
        self.shadowing = Shadowing(log, lambda: self.parameters, lambda: self.busy, self.switch)

    def switch(self, choices: Sequence[Candidate], only_idle: bool) -> str:
        """A goal has just come, ever again."""
        self.switched += 1
        return "a goal runs"

    def open(self) -> Process:
        (mine,) = self.shadowing.choices(self.parameters)
        self.shadowing.decides(mine, self.parameters, "")
        self.shadowing.open(self.parameters)
        return Process.newest


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(module, "ShadowProcess", Process)
    node = Node(tmp_path)
    yield node
    node.shadowing.close()


def test_it_plays_after_the_idle_time_and_pauses_in_the_callers_thread(node: Node) -> None:
    process = node.open()
    assert process.went.wait(PATIENCE)
    node.shadowing.disturb()
    assert process.told[-1] == "pause"
    node.shadowing.close()
    assert process.told[-1] == "close"


def test_it_does_not_play_while_the_node_is_busy(node: Node) -> None:
    node.busy = True
    process = node.open()
    time.sleep(3 * module.TICK)
    assert "go" not in process.told
    node.busy = False
    assert process.went.wait(PATIENCE)


def test_the_contest_has_the_nodes_budget(node: Node) -> None:
    node.parameters = NodeParameters(
        **{**vars(node.parameters), "time_budget": 3.0, "max_turns": 5, "shadow_goals": 40, "second_look": True}
    )
    command = node.open().command
    for words in (["--budget", "3.0"], ["--max-turns", "5"], ["--goals", "40"]):
        assert words == command[command.index(words[0]) :][:2]
    assert "--second-look" in command


def test_by_itself_it_tries_again_when_a_goal_came_just_then(node: Node) -> None:
    node.parameters = NodeParameters(**{**vars(node.parameters), "promote_by_itself": True, "shadow_idle": 0.0})
    process = node.open()
    sides = Candidate().fingerprint, Candidate(Choice(view_side=128)).fingerprint
    good = Standing(sides, judged=40, goals=40, low=0.1, lowest=0.1)
    process.standing = good  # better, but nobody has looked yet
    assert process.went.wait(PATIENCE)
    time.sleep(2 * module.TICK)
    assert node.switched == 0
    process.standing = replace(good, cleared=True)
    until(lambda: node.switched >= 2)
    done, message = node.shadowing.promote()
    assert (done, message) == (False, "not promoted: a goal runs")


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_contest_that_is_no_contest_is_none(node: Node) -> None:
    Path(node.parameters.candidate).write_text("policy: reference")
    (mine,) = node.shadowing.choices(node.parameters)
    node.shadowing.decides(mine, node.parameters, "")
    node.shadowing.open(node.parameters)
    assert "contest" not in node.shadowing.facts()
    assert node.shadowing.trouble == ""
    assert node.shadowing.promote() == (False, "nothing to promote: there is no contest under way")


def better(node: Node, incumbent: Candidate | None = None) -> Standing:
    """A contest's end in which the candidate of the file was better, beyond doubt."""
    sides = (incumbent or Candidate()).fingerprint, Candidate(Choice(view_side=128)).fingerprint
    return Standing(sides, judged=40, goals=40, low=0.1, lowest=0.1, cleared=True)


def test_who_was_promoted_and_can_not_be_loaded_has_to_be_rolled_back_first(node: Node) -> None:
    elder = Candidate(Choice(view_side=256))
    good = Standing((Candidate().fingerprint, elder.fingerprint), judged=40, goals=40, low=0.1)
    remember(node.parameters, Promotions().promote(elder, Candidate(), good, "service"))
    assert list(node.shadowing.choices(node.parameters)) == [elder, Candidate()]
    node.shadowing.decides(Candidate(), node.parameters, "256 pixels can't be loaded: there are no weights")
    node.shadowing.open(node.parameters)
    Process.newest.standing = better(node)
    done, told = node.shadowing.promote()
    assert not done
    assert "256 pixels was promoted before and can't be loaded; call ~/rollback first" in told
    assert "256 pixels can't be loaded: there are no weights" in node.shadowing.trouble


def test_parameters_that_were_not_taken_over_are_told(node: Node) -> None:
    process = node.open()
    process.standing = better(node)
    node.parameters = NodeParameters(**{**vars(node.parameters), "view_side": 512})
    for done, told in (node.shadowing.promote(), node.shadowing.rollback()):
        assert not done
        assert "deactivate, clean up and configure the node first" in told
    assert node.switched == 0


def test_a_contest_that_has_failed_promotes_nobody(node: Node) -> None:
    process = node.open()
    process.standing = better(node)
    process.problem = "given up after 5 tries in a row: it was killed by SIGSEGV"
    done, told = node.shadowing.promote()
    assert not done
    assert told.endswith("given up after 5 tries in a row: it was killed by SIGSEGV")
    assert node.switched == 0


def test_by_itself_it_says_once_why_not_and_goes_on_playing(
    node: Node, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.0)
    tries: list[float] = []

    def damaged(parameters: NodeParameters) -> Promotions:
        tries.append(time.monotonic())
        raise ValueError("promoted.yaml is damaged")

    node.parameters = NodeParameters(**{**vars(node.parameters), "promote_by_itself": True, "shadow_idle": 0.0})
    process = node.open()
    monkeypatch.setattr(module, "remembered", damaged)
    process.standing = better(node)
    until(lambda: len(tries) >= 3)
    assert "pause" not in process.told[process.told.index("go") :]
    assert node.switched == 0
    node.shadowing.close()
    assert capfd.readouterr().err.count("promoted.yaml is damaged") == 1
    monkeypatch.undo()  # it was mended: the next try counts
    monkeypatch.setattr(module, "ShadowProcess", Process)
    node.shadowing.open(node.parameters)
    Process.newest.standing = better(node)
    until(lambda: node.switched > 0)


def test_what_hindered_a_contest_is_forgotten_when_it_is_mended(node: Node) -> None:
    good = node.parameters
    node.parameters = NodeParameters(**{**vars(good), "candidate": "~nobody-is-called-so/candidate.yaml"})
    (mine,) = node.shadowing.choices(node.parameters)
    node.shadowing.decides(mine, node.parameters, "")
    node.shadowing.open(node.parameters)
    assert "home directory" in node.shadowing.trouble
    node.shadowing.open(good)
    assert node.shadowing.trouble == ""
    assert "contest" in node.shadowing.facts()
