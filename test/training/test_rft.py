"""Rejection sampling: right rollouts become trajectories, and nothing else does."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

from scripted_rollouts import Scripted
from training_cases import RIGHT, UNREADABLE, WRONG, finish, grpo_recipe, scene, write_scenes

from rsagent_ros.yaml_file import write_yaml
from rsagent_training import commands, rft
from rsagent_training.recipe_parts import VllmServer
from rsagent_training.rollouts.episodes import turn_limit
from rsagent_training.trajectories import read_trajectories

PLAYS = ([RIGHT, finish(1)], [WRONG, finish(1)], [UNREADABLE, RIGHT, finish(1)], [WRONG, WRONG, WRONG])


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rollouts by script, whatever the checkpoint and the segmenter are."""
    monkeypatch.setattr(rft, "LocalRollouts", lambda *_: Scripted(plays=PLAYS))


def test_right_rollouts_are_kept_and_their_bad_replies_are_not_learned(
    tmp_path: Path, scripted: None, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = grpo_recipe(write_scenes(tmp_path / "scenes", 4), steps=2, batch=2, samples=2)
    assert rft.sample(recipe, tmp_path / "right") == 4
    assert "4 of 8 rollouts came right" in capsys.readouterr().err
    kept = [trajectory for _, trajectory in read_trajectories(tmp_path / "right")]
    assert [trajectory.learn for trajectory in kept] == [(True, True), (False, True, True)] * 2
    assert len({trajectory.scene_id for trajectory in kept}) == 4
    with pytest.raises(FileExistsError):
        rft.sample(recipe, tmp_path / "right")


def test_the_command_takes_a_recipe_of_grpo(tmp_path: Path, scripted: None, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    commands.add_rft(parser.add_subparsers())
    recipe = tmp_path / "grpo.yaml"
    write_yaml(grpo_recipe(write_scenes(tmp_path / "scenes")), recipe)
    arguments = parser.parse_args(["rft", str(recipe), "--out", str(tmp_path / "right"), "--set", "steps=1"])
    assert arguments.command(arguments) == 0
    assert capsys.readouterr().out == f"2 right rollouts in {tmp_path / 'right'}\n"


def test_nothing_right_or_a_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = grpo_recipe(write_scenes(tmp_path / "scenes"))
    monkeypatch.setattr(rft, "LocalRollouts", lambda *_: Scripted(plays=[[WRONG, finish(1)]]))
    with pytest.raises(ValueError, match="came right, so there is nothing to learn; begin with SFT"):
        rft.sample(recipe, tmp_path / "right")
    with pytest.raises(ValueError, match="leave out server"):
        rft.sample(replace(recipe, server=VllmServer("served")), tmp_path / "served")


def test_limits_of_turns_are_drawn_for_each_group_and_step_and_come_again() -> None:
    recipe = replace(grpo_recipe(Path("scenes")), min_turns=3, max_turns=8)
    drawn = {(number, step): turn_limit(recipe, scene(number), step) for number in range(40) for step in range(5)}
    assert {*drawn.values()} == set(range(3, 9))
    assert len({drawn[0, step] for step in range(5)}) > 1
    assert drawn == {(number, step): turn_limit(recipe, scene(number), step) for number, step in drawn}
    assert turn_limit(replace(recipe, min_turns=None), scene(0), 0) == 8
    with pytest.raises(ValueError, match=r"min_turns is 9; it must be 1 to max_turns \(8\)"):
        replace(recipe, min_turns=9)
