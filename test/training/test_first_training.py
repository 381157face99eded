"""The newcomer's path: the commands of docs/first-training.md, run as they stand there, from records to an adapter."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

from safetensors.numpy import load_file

from rsagent_ros import cli
from rsagent_ros.data.folder import load_examples

pytestmark = pytest.mark.timeout(900)  # two minutes where nothing else runs

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "first-training.md"


def commands() -> list[list[str]]:
    """The commands of the page, in order."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.replace("\\\n", " ").splitlines()]


@dataclass(frozen=True)
class Walked:
    """The folder in which all commands of the page were run, and what each printed, in order."""

    folder: Path
    said: list[str]

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_bytes())

    def curve(self, run: str) -> list[dict[str, float]]:
        return [row for row in self.json(f"{run}/curve.json") if "loss" in row]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    folder = tmp_path_factory.mktemp("newcomer")
    for name in ("config", "examples"):  # what a checkout has; results go beside them
        (folder / name).symlink_to(ROOT / name)
    said = []
    for words in commands():
        if words[0] == "python":
            ran = subprocess.run([sys.executable, *words[1:]], cwd=folder, capture_output=True, text=True, check=False)
            code, out, err = ran.returncode, ran.stdout, ran.stderr
        else:
            assert words[0] == "rsagent"
            printed, told = io.StringIO(), io.StringIO()
            with contextlib.chdir(folder), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
                code = cli.main(words[1:])
            out, err = printed.getvalue(), told.getvalue()
        assert code == 0, (words, out, err[-3000:])
        said.append(out)
    return Walked(folder, said)


def test_records_become_scenes_whose_parts_have_no_day_in_common(walked: Walked) -> None:
    assert walked.json("data/scenes/report.json")["left"] == 60
    parts = {name: [*load_examples(walked.folder / "data/parts" / name)] for name in ("train", "val", "test")}
    assert {name: len(scenes) for name, scenes in parts.items()} == {"train": 36, "val": 12, "test": 12}
    days = {name: {one.stamp_ns // (24 * 3600 * 10**9) for one in scenes} for name, scenes in parts.items()}
    assert {name: len(of) for name, of in days.items()} == {"train": 3, "val": 1, "test": 1}
    assert len(set.union(*days.values())) == 5


def test_the_teacher_shows_how_on_most_scenes(walked: Walked) -> None:
    report = walked.json("data/trajectories/report.json")
    assert report["funnel"]["entered"] == 2 * 36
    assert report["kept"]["trajectories"] > 36
    lines = (walked.folder / "data/trajectories/trajectories.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == report["kept"]["trajectories"]


def test_supervised_training_learns_and_its_checkpoint_is_another_than_the_one_it_began_with(walked: Walked) -> None:
    losses = [row["loss"] for row in walked.curve("runs/sft")]
    assert sum(losses[-5:]) / 5 < 0.8 * losses[0]
    began, learned = (
        load_file(walked.folder / name / "model.safetensors") for name in ("models/qwen3_vl", "checkpoints/sft")
    )
    assert began.keys() == learned.keys()
    assert any((began[key] != learned[key]).any() for key in began)


def test_reinforcement_learning_leaves_an_adapter_its_best_one_and_pages_to_look_at(walked: Walked) -> None:
    curve = walked.curve("runs/grpo")
    assert [row["step"] for row in curve] == [1, 2, 3, 4]
    assert all({"reward", "reward/equal_groups", "episodes/gave_up", "time/rollout"} <= {*row} for row in curve)
    for name in ("final", "best"):
        adapter = load_file(walked.folder / f"runs/grpo/{name}/adapter_model.safetensors")
        assert all("lora_A" in key or "lora_B" in key for key in adapter)
    assert [row["step"] for row in walked.json("runs/grpo/held_out.json")] == [2, 4]
    assert [row["held_out/failed"] for row in walked.json("runs/grpo/curve.json") if "held_out/value" in row] == [0, 0]
    pages = sorted(path.name for path in (walked.folder / "runs/grpo/rollouts").iterdir())
    assert pages == ["held-out-2.html", "held-out-4.html", "step-2.html", "step-4.html"]


def test_both_are_evaluated_on_the_same_scenes_and_compared(walked: Walked) -> None:
    compared = walked.json("runs/compared/comparison.json")
    assert [run["folder"] for run in compared["runs"]] == ["runs/before", "runs/after"]
    assert compared["samples"] == 12
    assert compared["only_in"] == [[], []]
    for run in ("before", "after"):
        report = walked.json(f"runs/{run}/report.json")
        assert report["samples"] == 12
        assert report["metrics"]["failed"]["value"] == 0
        assert report["metrics"]["turns"]["value"] > 0
    assert (walked.folder / "runs/compared/index.html").is_file()
