"""Synthesis from end to end: scenes in, trajectories and a report out; killed and resumed; many workers; bad input."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drawn_scenes import absent, ambiguous, found
from openai_server import MODEL, OpenAIServer

from rsagent_ros.agent.actions import Finish, render
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.pictures import DEFAULT_PICTURES
from rsagent_ros.agent.turn import Turn
from rsagent_ros.backends import Choice
from rsagent_ros.data.folder import save_examples
from rsagent_ros.yaml_file import read_yaml
from rsagent_training import synthesize as module
from rsagent_training.data_commands import add_synthesize
from rsagent_training.jobs.filter_report import NothingLeft
from rsagent_training.synthesis.attempt import TeacherConfig
from rsagent_training.synthesis.config import SynthesisConfig
from rsagent_training.synthesize import synthesize
from rsagent_training.trajectories import read_trajectories

CONFIG = SynthesisConfig(balanced=False, budget_seconds=600.0)
TEACHING = TeacherConfig("expert", Choice(), DEFAULT_PICTURES, 0, CONFIG)
FILE = Path(__file__).resolve().parents[2] / "config" / "training" / "synthesize.yaml"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    save_examples([found(0), found(1), ambiguous(2), absent(3)], folder)
    return folder


@pytest.fixture(scope="module")
def made(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the expert makes of the scenes, for reading."""
    folder = tmp_path_factory.mktemp("made") / "out"
    synthesize([scenes], folder, TEACHING)
    return folder


def said(folder: Path) -> list[tuple[str, tuple[str, ...], tuple[bool, ...]]]:
    return [
        (trajectory.id, tuple(turn.reply for turn in trajectory.trace.turns), trajectory.learn)
        for _, trajectory in read_trajectories(folder)
    ]


def test_scenes_become_trajectories_with_a_report(scenes: Path, tmp_path: Path) -> None:
    data = synthesize([scenes], tmp_path / "out", TEACHING)
    read = list(read_trajectories(tmp_path / "out"))
    assert [scene.id for scene, _ in read] == ["found-0-0", "found-1-0", "ambiguous-2", "absent-3"]
    for scene, trajectory in read:
        assert trajectory.trace.outcome is scene.expected
        assert trajectory.iou >= 0.9 or scene.expected is Outcome.AMBIGUOUS
        assert trajectory.source == "synthesize teacher=expert segmenter=classical seed=0"
    assert data == json.loads((tmp_path / "out" / "report.json").read_text())
    assert data["kept"]["outcomes"] == {"found": 2, "ambiguous": 1, "not_in_view": 1}
    assert "| | **left** | **4** |" in (tmp_path / "out" / "report.md").read_text()


def test_a_run_that_was_killed_goes_on_where_it_was(
    scenes: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked_on: list[str] = []

    def dies_after(limit: int) -> Callable[..., Iterator[Any]]:
        def work_on(tasks: list[Any], make: Callable[[], Callable[[Any], Any]], *_: Any) -> Iterator[Any]:
            work = make()
            for number, task in enumerate(tasks):
                if number == limit:
                    raise KeyboardInterrupt
                worked_on.append(task.id)
                yield work(task)

        return work_on

    monkeypatch.setattr(module, "work_on", dies_after(2))
    with pytest.raises(KeyboardInterrupt):
        synthesize([scenes], tmp_path / "killed", TEACHING)
    monkeypatch.setattr(module, "work_on", dies_after(99))
    synthesize([scenes], tmp_path / "killed", TEACHING)
    assert worked_on == ["found-0-0-t0", "found-1-0-t0", "ambiguous-2-t0", "absent-3-t0"]  # none of them twice
    assert said(tmp_path / "killed") == said(made)


def test_two_workers_make_what_one_makes(scenes: Path, made: Path, tmp_path: Path) -> None:
    synthesize([scenes], tmp_path / "two", TEACHING, workers=2)
    assert said(tmp_path / "two") == said(made)


def test_attempts_can_be_filtered_again_without_being_made_again(
    scenes: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "work_on", lambda tasks, *_: iter(()) if not tasks else pytest.fail("made again"))
    strict = replace(TEACHING, config=replace(CONFIG, found=1.0, not_in_view=0.0, ambiguous=0.0, balanced=True))
    data = synthesize([scenes], tmp_path / "strict", strict, attempts=made / "attempts")
    assert data["kept"]["outcomes"] == {"found": 2}
    assert data["funnel"]["dropped"]["balance"] == {"enough of ambiguous": 1, "enough of not_in_view": 1}


def test_attempts_of_other_settings_are_not_mixed_in(scenes: Path, made: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="was begun with seed 0, now it is 1"):
        synthesize([scenes], tmp_path / "x", replace(TEACHING, seed=1), attempts=made / "attempts")


def test_nothing_is_overwritten(scenes: Path, tmp_path: Path) -> None:
    synthesize([scenes], tmp_path, TEACHING)
    with pytest.raises(FileExistsError, match=r"trajectories\.jsonl exists already, not overwriting"):
        synthesize([scenes], tmp_path, TEACHING)


def test_a_set_that_a_filter_empties_names_it(scenes: Path, tmp_path: Path) -> None:
    short = replace(TEACHING, config=replace(CONFIG, max_turns=1))
    with pytest.raises(
        NothingLeft, match="no trajectories are left of 4: the filter 'at most 1 turns' dropped the last"
    ):
        synthesize([scenes], tmp_path, short)
    # The attempts are kept, and so is the way out: another filter.
    assert synthesize([scenes], tmp_path, TEACHING)["kept"]["trajectories"] == 4


def test_scenes_of_one_id_in_two_folders_are_refused(scenes: Path, tmp_path: Path) -> None:
    save_examples([found(0)], tmp_path / "more")
    with pytest.raises(ValueError, match=r"scene found-0-0 is in .* and in .*more; ids must differ"):
        synthesize([scenes, tmp_path / "more"], tmp_path / "out", TEACHING)


# --- a policy as the teacher


def test_a_policy_behind_a_server_teaches(tmp_path: Path) -> None:
    """What it says badly carries no loss; what puts it right does."""
    scene = found(0)
    rows, columns = scene.masks[0].nonzero()
    height, width = scene.masks[0].shape
    box = [
        int(columns.min() * 1000 / width), int(rows.min() * 1000 / height),
        int((columns.max() + 1) * 1000 / width) + 1, int((rows.max() + 1) * 1000 / height) + 1,
    ]  # fmt: skip
    call = '<tool_call>{"name": "segment", "arguments": {"box": ' + str(box) + "}}</tool_call>"
    save_examples([scene], tmp_path / "scenes")
    with OpenAIServer(["I do not know.", "<think>There.</think>" + call, "<think>Good.</think>" + FINISH]) as server:
        choice = Choice(
            policy="chat_server",
            settings={
                "chat_server.model": MODEL, "chat_server.base_url": server.url,
                "chat_server.family": "qwen3_vl", "chat_server.constrained": False,
            },
        )  # fmt: skip
        synthesize([tmp_path / "scenes"], tmp_path / "out", replace(TEACHING, kind="policy", choice=choice))
    ((_, trajectory),) = read_trajectories(tmp_path / "out")
    assert trajectory.learn == (False, True, True)
    assert trajectory.trace.policy == f"chat_server:{MODEL}"


def test_a_teacher_that_is_gone_stops_the_run_and_what_is_made_is_kept(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_FAILURES", 2)
    monkeypatch.setattr("rsagent_training.expert.policy.play", _broken)
    with pytest.raises(RunFailed, match=r"2 attempts failed one after the other, .*the model is away"):
        synthesize([scenes], tmp_path, TEACHING)
    monkeypatch.undo()
    # What failed is tried again.
    assert synthesize([scenes], tmp_path, TEACHING)["kept"]["trajectories"] == 4


def _broken(*_: Any) -> Iterator[Turn]:
    raise RuntimeError("the model is away")
    yield


FINISH = render(Finish((1,)))


# --- the command


def command(*words: str) -> int:
    import argparse

    parser = argparse.ArgumentParser()
    add_synthesize(parser.add_subparsers())
    arguments = parser.parse_args(["synthesize", *words])
    code: int = arguments.command(arguments)
    return code


def test_the_command(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (str(scenes), "--out", str(tmp_path / "out"), "--config", str(FILE), "--family", "qwen2_5_vl")
    assert command(*words) == 0
    assert " trajectories of 4 attempts" in capsys.readouterr().out
    (_, trajectory), *_ = read_trajectories(tmp_path / "out")
    assert trajectory.trace.pictures.coordinates == "pixels"
    assert command(*words) == 1
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere", "--out", "x"), "scenes.jsonl is missing"),
        (("nowhere", "--out", "x", "--workers", "0"), "--workers is 0"),
        (("nowhere", "--out", "x", "--config", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_bad_usage_is_one_sentence(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert command(*words) == 1
    assert message in capsys.readouterr().err


def test_the_file_holds_every_setting_at_its_default() -> None:
    assert read_yaml(FILE, SynthesisConfig) == SynthesisConfig()
    text = FILE.read_text()
    for name in (*vars(SynthesisConfig()), *vars(SynthesisConfig().expert)):
        assert f"{name}:" in text


def test_a_misspelt_setting_of_the_expert_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("expert:\n  straigth: 1.0\n")
    with pytest.raises(ValueError, match=r"c\.yaml: there is no expert\.straigth; there are straight, "):
        read_yaml(tmp_path / "c.yaml", SynthesisConfig)
