"""Prove that the tests would notice: apply each defect of `defects.toml` to a copy of the sources and run its tests.

    python test/seeded_defects/run.py [ID ...]

Prints a table. Exits with 1 if a defect survives its tests, if they do not pass without it, or if it can't be applied.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("defects.toml")

FAILED = 1
"""Exit code of pytest when tests failed; more means that they did not run."""


@dataclass(frozen=True)
class Defect:
    """A mistake that somebody could make.

    Attributes:
        id: The package and a word for it.
        about: What goes wrong, in one sentence.
        file: Relative to the root.
        old: Text that is in the file exactly once.
        new: What stands there instead.
        tests: Files or node ids of pytest; at least one test of them must fail.
    """

    id: str
    about: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> None:
        """Change the file under `root`.

        Raises:
            ValueError: Its text is not there exactly once.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.id}: its old text is {count} times in {self.file}, not once; correct defects.toml")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def read_defects(path: Path = LIST) -> list[Defect]:
    """The committed list, in its order."""
    with path.open("rb") as file:
        entries = tomllib.load(file)["defect"]
    return [Defect(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


def copy_sources(target: Path) -> None:
    """Copy every file that git does not ignore, as it is in the working tree."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():  # else it was removed, and the removal is not committed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def run_tests(root: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run tests of the copy in `root` on its own sources, up to the first that fails."""
    sources = [str(root), str(root / "training")]
    others = [
        path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", str(ROOT), *sources)
    ]
    # Without bytecode: that of a file that changed twice within a second would pass for that of the other text.
    changes = {"PYTHONPATH": os.pathsep.join(sources + others), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(
        command, cwd=root, env={**os.environ, **changes}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def first_failure(output: str) -> str:
    """The node id of the test that failed, as pytest's summary names it."""
    found = re.search(r"^(?:FAILED|ERROR) (\S+\.py.*?)(?: - |$)", output, re.MULTILINE)
    return found[1] if found else ""


def judge(defect: Defect, root: Path) -> tuple[bool, str]:
    """Whether the tests catch a defect in the copy in `root`, which stays as it was; and by which test, or why not."""
    path = root / defect.file
    before = path.read_bytes()
    try:
        defect.apply(root)
        run = run_tests(root, defect.tests)
    finally:
        path.write_bytes(before)
    if run.returncode == FAILED:
        return True, first_failure(run.stdout)
    if run.returncode == 0:
        return False, "SURVIVED: " + " ".join(defect.tests)
    return False, f"its tests did not run (pytest exited with {run.returncode}):\n{run.stdout}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    known = {defect.id: defect for defect in read_defects()}
    parser = argparse.ArgumentParser(description="Are the seeded defects caught by their tests?")
    parser.add_argument("ids", nargs="*", metavar="ID", help="of defects.toml; all of them where none is named")
    chosen = parser.parse_args(arguments).ids or list(known)
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"there is no defect {', '.join(unknown)}; there are {', '.join(known)}")
    defects = [known[name] for name in chosen]
    with tempfile.TemporaryDirectory(prefix="seeded-defects-") as folder:
        root = Path(folder)
        copy_sources(root)
        started = time.monotonic()
        whole = run_tests(root, sorted({test for defect in defects for test in defect.tests}))
        if whole.returncode != 0:
            print(whole.stdout)
            print("the tests do not pass on the sources as they are; mend that first")
            return 1
        print(f"without a defect the tests pass ({time.monotonic() - started:.0f} s)", flush=True)
        caught = 0
        for defect in defects:
            started = time.monotonic()
            try:
                good, told = judge(defect, root)
            except (OSError, ValueError) as error:
                good, told = False, str(error)
            caught += good
            verdict = "caught" if good else "NOT CAUGHT"
            print(f"{defect.id:<32} {verdict:<10} {time.monotonic() - started:5.1f} s  {told}", flush=True)
    print(f"{caught} of {len(defects)} defects are caught")
    return 0 if caught == len(defects) else 1


if __name__ == "__main__":
    sys.exit(main())
