"""The commands that the documents on training show are ones that exist: each is parsed, its files are there."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from rsagent_ros import cli
from rsagent_ros.yaml_file import read_yaml
from rsagent_training import commands
from rsagent_training.miniature.recipe import load
from rsagent_training.recipes import GrpoRecipe, SftRecipe

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("training.md", "training-data.md")


def lines(document: str) -> list[list[str]]:
    """Every command of the ```bash blocks, continued lines joined."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.replace("\\\n", " ").splitlines()]


SHOWN = [(document, words) for document in DOCUMENTS for words in lines(document) if words]


def test_there_is_something_to_check() -> None:
    said = {words[1] for _, words in SHOWN if words[0] == "rsagent"}
    assert {"label", "collect", "questions", "synthesize", "sft", "grpo", "merge", "evaluate", "compare"} <= said


@pytest.mark.parametrize("words", [words for _, words in SHOWN if words[0] == "rsagent"], ids=" ".join)
def test_every_command_is_parsed(words: list[str]) -> None:
    arguments = cli.parser().parse_args(words[1:])
    assert callable(arguments.command)
    recipe = getattr(arguments, "recipe", None)
    if words[1] == "miniature":
        load(ROOT / arguments.recipe, arguments.changes)
    if isinstance(recipe, Path) and words[1] in ("sft", "grpo"):
        read_yaml(ROOT / recipe, SftRecipe if words[1] == "sft" else GrpoRecipe, arguments.changes)


@pytest.mark.parametrize("words", [words for _, words in SHOWN if words[0] == "accelerate"], ids=" ".join)
def test_what_accelerate_launches_is_there(words: list[str]) -> None:
    assert words[1:3] == ["launch", "--config_file"]
    assert (ROOT / words[3]).is_file()
    assert words[4:6] == ["-m", "rsagent_training.sft"]
    parser = argparse.ArgumentParser()
    commands.add_sft(parser.add_subparsers())
    arguments = parser.parse_args(["sft", *words[6:]])
    read_yaml(ROOT / arguments.recipe, SftRecipe, arguments.changes)


def test_no_other_kind_of_command_slips_in_unchecked() -> None:
    kinds = {words[0] for _, words in SHOWN}
    assert kinds <= {"rsagent", "accelerate", "make", "pip", "ros2", "python"}
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    for _, words in SHOWN:
        if words[0] == "make":
            assert f"\n{words[1]}:" in targets
        if words[0] == "python":
            assert words[1] == "-m" or (ROOT / words[1]).is_file()
