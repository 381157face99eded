"""The list of seeded defects fits the sources: whoever moves or renames code, or a test, takes its entry along."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from seeded_defects.run import ROOT, Defect, copy_sources, judge, main, read_defects

DEFECTS = read_defects()


def functions(path: Path) -> set[str]:
    """The names of a file's functions, those of classes with the class before them, as in a node id."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    inside = {f"{one.name}::{node.name}" for one in classes for node in one.body if isinstance(node, ast.FunctionDef)}
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} | inside


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.id)
def test_each_defect_can_be_applied_and_has_its_tests(defect: Defect) -> None:
    assert (ROOT / defect.file).read_text(encoding="utf-8").count(defect.old) == 1
    assert defect.new != defect.old
    assert defect.tests
    for test in defect.tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file()
        assert not name or name.partition("[")[0] in functions(ROOT / file), test


def test_there_are_twenty_or_more() -> None:
    assert len({defect.id for defect in DEFECTS}) == len(DEFECTS) >= 20


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Sources with one function and two tests: one that looks at what it returns, and one that does not."""
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "seeded.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "test_seeded.py").write_text(
        "from seeded import double\n\n\n"
        "def test_value():\n    assert double(3) == 6\n\n\n"
        "def test_call():\n    double(3)\n"
    )
    return tmp_path


def test_a_defect_is_caught_by_a_test_that_fails_and_by_nothing_else(sources: Path) -> None:
    before = (sources / "seeded.py").read_bytes()

    def told(new: str, test: str) -> tuple[bool, str]:
        return judge(Defect("x", "", "seeded.py", "2 * x", new, (test,)), sources)

    assert told("3 * x", "test_seeded.py::test_value") == (True, "test_seeded.py::test_value")
    assert not told("3 * x", "test_seeded.py::test_call")[0]
    assert not told("3 *", "test_seeded.py::test_value")[0], "it did not run"
    assert not told("3 * x", "test_seeded.py::test_gone")[0], "there is no such test"
    assert (sources / "seeded.py").read_bytes() == before


def test_a_text_that_is_not_there_once_is_refused(sources: Path) -> None:
    for old in ("5 * x", "x"):
        with pytest.raises(ValueError, match="not once"):
            judge(Defect("x", "", "seeded.py", old, "y", ("test_seeded.py",)), sources)


def test_an_unknown_id_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nothing-like-it"])
    assert "there is no defect nothing-like-it" in capsys.readouterr().err


def test_the_copy_holds_the_sources_and_nothing_that_git_ignores(tmp_path: Path) -> None:
    copy_sources(tmp_path)
    for defect in DEFECTS:
        assert (tmp_path / defect.file).read_bytes() == (ROOT / defect.file).read_bytes()
    assert not (tmp_path / ".venv").exists()
