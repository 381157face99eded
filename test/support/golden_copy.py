"""A copy of test/golden, which an earlier release wrote, to read, go on with and damage."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsagent_ros.cli import main

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "test" / "golden"
WRITTEN_IN = b"/tmp/rsagent-golden"
"""The folder that make.py wrote in, which journals, recipes and adapters name."""

TEXT = (".json", ".jsonl", ".yaml")
FUTURE = 999
"""A version that no release has reached."""


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    def refused(self, *words: str) -> None:
        """Check that it was refused with one sentence that holds these words, not with a traceback."""
        assert self.code in (1, 2), self
        assert "Traceback" not in self.err, self
        told = re.findall(r"\brsagent(?: \w+)?: .*", self.err)  # beside usage, progress and warnings of others
        assert len(told) == 1, self
        for word in words:
            assert word in told[0], self


@dataclass(frozen=True)
class Golden:
    """The copy; commands run in it.

    Attributes:
        folder: It.
        expected: What make.py found in what it had written.
    """

    folder: Path
    expected: dict[str, Any]

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def rsagent(self, *words: str | Path) -> Ran:
        """Run a command to its end, in this process: starting another for each would take longer than they do."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main([*map(str, words)])
            except SystemExit as end:  # bad usage
                code = int(end.code or 0)
        return Ran(code, out.getvalue(), err.getvalue())

    def lines(self, name: str) -> list[Any]:
        """The lines of a file of JSON lines."""
        return [json.loads(line) for line in (self / name).read_text(encoding="utf-8").splitlines()]

    def json(self, name: str) -> Any:
        """What a JSON file holds."""
        return json.loads((self / name).read_bytes())

    def change(self, name: str, change: Callable[[Any], object]) -> None:
        """Change what each line of a file of JSON lines holds."""
        changed = self.lines(name)
        for line in changed:
            change(line)
        (self / name).write_text("".join(json.dumps(line) + "\n" for line in changed), encoding="utf-8")

    def cut(self, name: str, lines: int) -> bytes:
        """Keep so many lines of a file, and half of the next, as a kill does. Returns what is whole."""
        data = (self / name).read_bytes().splitlines(keepends=True)
        (self / name).write_bytes(b"".join(data[:lines]) + data[lines][: len(data[lines]) // 2])
        return b"".join(data[:lines])


def copy_golden(to: Path) -> Golden:
    """The folder as if it had been written there."""
    shutil.copytree(GOLDEN, to, ignore=shutil.ignore_patterns("make.py", "README.md", "__pycache__"))
    for file in to.rglob("*"):
        if file.suffix in TEXT:
            file.write_bytes(file.read_bytes().replace(WRITTEN_IN, str(to).encode()))
    golden = Golden(to, {})
    return Golden(to, golden.json("expected.json"))
