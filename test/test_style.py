"""The style of the house, as far as ruff has no rule for it: openings of docstrings, lengths, and names.

docs/architecture.md and CONTRIBUTING.md say why. Each rule is one table here and one test.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("rsagent_ros/", "training/rsagent_training/")

OPENINGS = frozenset(("Of", "Who", "Whoever", "What", "Where", "How", "Which"))
"""Words that begin no docstring: the first line is a noun phrase or an imperative that stands alone."""

MOST_LINES = 400
MOST_COLUMNS = 120

NO_NAMES: Mapping[str, str] = {
    "Desk": "GoalQueue",
    "Execution": "GoalRunner",
    "Footage": "FrameBuffer",
    "Funnel": "FilterReport",
    "Guard": "FiniteGuard",
    "Journal": "ResumeLog",
    "Kept": "KVCache",
    "Learner": "load_policy_model",
    "Outputs": "Publishers",
    "Patience": "FrameSelectionConfig, SupervisorTimeouts, ...",
    "Plan": "the thing itself",
    "Pursued": "TrackedObject",
    "Pursuit": "TrackGroup",
    "READ_AT_ONCE": "MAX_PREFILL_TOKENS",
    "Reel": "FrameBuffer",
    "Request": "GoalRequest",
    "Ring": "FrameBuffer",
    "Row": "Score, LabelRow, BatchRow",
    "Run": "RunSettings",
    "Several": "collections.abc.Sequence",
    "Shot": "StampedImage",
    "Task": "Example",
    "Thing": "the thing itself",
    "Window": "the thing itself",
    "asked": "clarification_rate, format_observation",
    "contest": "comparison",
    "durable": "atomic_write",
    "elsewhere": "next_view",
    "hear": "append_messages",
    "heard": "decode",
    "look_again": "submit_verification",
    "looked_at": "view_metadata",
    "said": "decode",
    "say": "append_reply",
    "spoiled": "regressed_after_correction",
    "standing": "paired_result",
    "told": "format_observation",
    "write_durably": "atomic_write",
}
"""Names that no class, function or module has: the field has another word."""

HOMES: Mapping[str, str] = {
    "Answer": "rsagent_ros/ros/client/answer.py",
    "Calibration": "rsagent_ros/confidence/calibration.py",
    "Camera": "rsagent_ros/ros/camera/camera.py",
    "Candidate": "rsagent_ros/agent/segmenter.py",
    "Conversation": "rsagent_ros/agent/policy.py",
    "Difference": "rsagent_ros/records/replay.py",
    "Frame": "rsagent_ros/ros/camera/frame.py",
    "Reply": "rsagent_ros/agent/policy.py",
    "View": "rsagent_ros/agent/geometry.py",
}
"""Names with one meaning, and where it is defined."""


@cache
def files(*suffixes: str) -> tuple[str, ...]:
    """The files of the repository with one of the suffixes, those that are not committed yet included."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return tuple(name for name in listed if name.endswith(suffixes) and (ROOT / name).is_file())


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


def sources() -> list[str]:
    """The Python files of both packages."""
    return [name for name in files(".py") if name.startswith(PACKAGES)]


def programs() -> list[str]:
    """The other Python files that are no tests."""
    return [name for name in files(".py") if not name.startswith((*PACKAGES, "test/"))]


def docstrings(module: ast.Module) -> Iterator[str]:
    """The docstrings of a module, its classes, functions, and of values that have one below them."""
    for node in ast.walk(module):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for before, statement in zip([node if documented else None, *body], body, strict=False):
            match before, statement:
                case (
                    (ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Assign())
                    | ast.AnnAssign(),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    yield text


def definitions(module: ast.Module) -> Iterator[str]:
    """The names of all classes and functions of a module."""
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def test_docstrings_open_with_what_stands_alone() -> None:
    found = [
        f"{name}: {text.strip().splitlines()[0]}"
        for name in (*sources(), *programs())
        for text in docstrings(tree(name))
        if re.split(r"\W", text.strip(), maxsplit=1)[0] in OPENINGS
    ]
    assert found == []


def test_no_file_is_long() -> None:
    written = [name for name in files(".py", ".js", ".css", ".html", ".sh") if not name.startswith("test/golden/")]
    lines = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in written}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_lines_of_markdown_end_in_time() -> None:
    found = [
        f"{name}:{number}"
        for name in files(".md")
        if not name.startswith("test/golden/")
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > MOST_COLUMNS and not line.lstrip().startswith("|")
    ]
    assert found == []


def test_the_field_s_words_name_classes_functions_and_modules() -> None:
    found = [
        f"{name}: {defined}, write {NO_NAMES[defined.lstrip('_')]}"
        for name in sources()
        for defined in (*definitions(tree(name)), Path(name).stem)
        if defined.lstrip("_") in NO_NAMES
    ]
    assert found == []


@pytest.mark.parametrize("meant", HOMES)
def test_one_name_has_one_meaning(meant: str) -> None:
    defined_in = [name for name in sources() if meant in definitions(tree(name))]
    assert defined_in == [HOMES[meant]]
