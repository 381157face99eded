"""Questions from end to end, against a chat server of the tests: written, sifted, tried, kept when they should be."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drawn_scenes import absent, found
from openai_server import Fail, OpenAIServer
from openai_server.steps import Step

from rsagent_ros.agent.actions import Finish, ReportAbsent, Segment, render
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import bounding_box
from rsagent_ros.backends import Choice
from rsagent_ros.data.folder import load_examples, save_examples
from rsagent_ros.policies.chat_server import ChatServerConfig
from rsagent_ros.yaml_file import read_yaml
from rsagent_training import questions as module
from rsagent_training.asking.config import QuestionsConfig
from rsagent_training.asking.solver import SolverConfig
from rsagent_training.asking.writer import WriterConfig
from rsagent_training.data_commands import add_questions
from rsagent_training.jobs.filter_report import NothingLeft
from rsagent_training.questions import ask

FILE = Path(__file__).resolve().parents[2] / "config" / "training" / "questions.yaml"
CONFIG = QuestionsConfig(tries=2, most_solved=1, budget_seconds=600.0, writer_seconds=600.0)
SCENE = found(0)

EASY, HARD, SOMETIMES = "What would a child stack?", "What would a sailor miss?", "What could roll off a desk?"
REPLY = json.dumps(
    {
        "names": ["circle", "toy ball"],
        "questions": [EASY, HARD, SOMETIMES, "Where is the ball?", "What might roll off the desk?"],
    }
)


class Models:
    """A model that writes, and one that solves: some questions always, some never, some every other time."""

    def __init__(self) -> None:
        self.writes: list[dict[str, Any]] = []
        self.solves: list[str] = []
        self.written: Step = REPLY
        self._odd = itertools.count()
        height, width = SCENE.image.shape[:2]
        box = bounding_box(SCENE.masks[0])
        assert box is not None
        there = Box(*(round(side * 1000 / size) for side, size in zip(
            (box.x0, box.y0, box.x1, box.y1), (width, height, width, height), strict=True
        )))  # fmt: skip
        self._right = f"<think>There.</think>{render(Segment(box=there))}", f"<think>Yes.</think>{render(Finish((1,)))}"

    def __call__(self, body: dict[str, Any]) -> Step:
        if body["model"] == "writer":
            self.writes.append(body)
            return self.written
        messages = body["messages"]
        opening = next(part["text"] for part in messages[1]["content"] if part["type"] == "text")
        question = json.loads(opening)["instruction"]
        if len(messages) > 2:
            return self._right[1]
        self.solves.append(question)
        solves = {EASY: True, HARD: False}.get(question)
        if solves is None:
            solves = next(self._odd) % 2 == 0
        return self._right[0] if solves else f"<think>No.</think>{render(ReportAbsent('not there'))}"


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
def server(models: Models) -> Iterator[OpenAIServer]:
    with OpenAIServer(models=["solver", "writer"], reply_to=models) as server:
        yield server


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    save_examples([SCENE, absent(1)], tmp_path / "scenes")
    return tmp_path / "scenes"


def who(server: OpenAIServer, config: QuestionsConfig = CONFIG) -> tuple[WriterConfig, SolverConfig]:
    writer = ChatServerConfig(model="writer", base_url=server.url, constrained=False, retries=0)
    settings = {"chat_server.model": "solver", "chat_server.base_url": server.url, "chat_server.family": "qwen3_vl"}
    return WriterConfig(writer, config), SolverConfig(Choice(policy="chat_server", settings=settings), config)


def test_kept_is_what_is_solved_sometimes_but_not_always(
    server: OpenAIServer, models: Models, scenes: Path, tmp_path: Path
) -> None:
    data = ask([scenes], tmp_path / "out", *who(server))
    (kept,) = load_examples(tmp_path / "out")
    assert kept.instruction == SOMETIMES
    assert kept.id == "found-0-0-q3"
    assert kept.category == "implicit"
    assert kept.source == "drawn question=writer"
    assert (kept.masks[0] == SCENE.masks[0]).all()
    assert data["scenes"]["dropped"] == {"something to ask about": {"not_in_view: there is no one target": 1}}
    assert data["questions"] == {
        "entered": 5,
        "dropped": {
            "does not name it": {"names it": 1},
            "unlike the others": {"says what another about the same thing says": 1},
            "solved sometimes": {
                "too easy: solved 2 of 2 times": 1,
                "too hard: solved 0 of 2 times": 1,
            },
        },
        "left": 1,
    }
    assert data["solved"] == {"0 of 2": 1, "1 of 2": 1, "2 of 2": 1}
    assert "| solved sometimes | too hard: solved 0 of 2 times | -1 |" in (tmp_path / "out" / "report.md").read_text()
    assert sorted(models.solves) == sorted([EASY, HARD, SOMETIMES] * 2)  # nothing else was tried


def test_the_writer_sees_the_image_and_the_target_lit_up(
    server: OpenAIServer, models: Models, scenes: Path, tmp_path: Path
) -> None:
    ask([scenes], tmp_path / "out", *who(server))
    (body,) = models.writes
    parts = body["messages"][1]["content"]
    pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert len(set(pictures)) == 2
    assert "structured_outputs" not in body
    assert "Write 3 different questions" in json.dumps(body["messages"][0])
    assert server.complaints == []


def test_a_run_that_was_killed_asks_nothing_twice(
    server: OpenAIServer, models: Models, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_untried", dies)
    with pytest.raises(KeyboardInterrupt):
        ask([scenes], tmp_path / "out", *who(server))
    monkeypatch.undo()
    ask([scenes], tmp_path / "out", *who(server))
    assert len(models.writes) == 1
    assert sorted(models.solves) == sorted([EASY, HARD, SOMETIMES] * 2)
    with pytest.raises(FileExistsError, match="exists already, not overwriting"):
        ask([scenes], tmp_path / "out", *who(server))


def test_a_set_that_a_filter_empties_names_it(
    server: OpenAIServer, models: Models, scenes: Path, tmp_path: Path
) -> None:
    models.written = json.dumps({"names": ["ball"], "questions": ["Where is the ball?", "Which ball is it?"]})
    with pytest.raises(
        NothingLeft, match=r"no questions are left of 2: the filter 'does not name it' .*\(2 names it\)"
    ):
        ask([scenes], tmp_path / "a", *who(server))
    models.written = "I can't see any target."
    with pytest.raises(NothingLeft, match=r"no scenes are left of 2: the filter 'a reply with questions' .*no JSON"):
        ask([scenes], tmp_path / "b", *who(server))
    models.written = json.dumps({"names": ["ball"], "questions": [EASY]})
    with pytest.raises(NothingLeft, match="the filter 'solved sometimes' dropped the last"):
        ask([scenes], tmp_path / "c", *who(server))


def test_scenes_without_a_target_are_no_use(server: OpenAIServer, tmp_path: Path) -> None:
    save_examples([absent(1)], tmp_path / "scenes")
    with pytest.raises(NothingLeft, match="the filter 'something to ask about' dropped the last"):
        ask([tmp_path / "scenes"], tmp_path / "out", *who(server))


def test_a_writer_that_fails_stops_the_run_and_is_asked_again(
    server: OpenAIServer, models: Models, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_FAILURES", 1)
    models.written = Fail(500, "the GPU fell off")
    with pytest.raises(
        RunFailed, match=r"writing: 1 failed one after the other, .*the GPU fell off.* what is done is kept"
    ):
        ask([scenes], tmp_path / "out", *who(server))
    models.written = REPLY
    assert ask([scenes], tmp_path / "out", *who(server))["questions"]["left"] == 1


# --- the command


def command(*words: object) -> int:
    parser = argparse.ArgumentParser()
    add_questions(parser.add_subparsers())
    arguments = parser.parse_args(["questions", *map(str, words)])
    code: int = arguments.command(arguments)
    return code


def test_the_command(server: OpenAIServer, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text("tries: 2\nmost_solved: 1\n")
    words = (
        scenes, "--out", tmp_path / "out", "--writer", "writer", "--writer-url", server.url, "--config",
        tmp_path / "c.yaml", "--policy", "chat_server", "--chat_server.model", "solver", "--chat_server.base_url",
        server.url, "--chat_server.family", "qwen3_vl",
    )  # fmt: skip
    assert command(*words) == 0
    assert "1 questions of 5" in capsys.readouterr().out
    assert command(*words) == 1
    assert "not overwriting" in capsys.readouterr().err


def test_the_file_holds_every_setting_at_its_default() -> None:
    assert read_yaml(FILE, QuestionsConfig) == QuestionsConfig()
    assert all(f"\n{name}: " in FILE.read_text() for name in vars(QuestionsConfig()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tries": 2}, "most_solved 3 and tries 2; they must not fall"),
        ({"least_solved": 4}, "least_solved is 4, most_solved 3"),
        ({"per_scene": 0}, "per_scene is 0"),
        ({"alike": 0.0}, "alike is 0.0"),
        ({"writer_seconds": float("inf")}, "writer_seconds is inf"),
    ],
)
def test_settings_that_can_not_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QuestionsConfig(**change)
