"""All benchmarks, one after the other: a table on the terminal, and `out/bench.json`.

    python benchmarks/run.py [MODULE...]

Each module has `run() -> list[Entry]` and runs in a process of its own, so that none sees the memory, threads or CPU
cores of another; its other output goes to `out/bench/MODULE.log`. Exit code 1 if a target is missed or a module fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from entry import Entry

MODULES = (
    "turn_overhead", "ros_latency", "cancel", "baseline_scenes", "find", "local_policy", "sam2_ratios", "records",
    "evaluation", "tracking", "pose3d", "training", "training_data",
    "training_size",
)  # fmt: skip
"""Run where none is named. `confidence`, `large_bag`, `second_look`, `votes`, `shadow`, `next_view` take long."""

OUT = Path(__file__).resolve().parents[1] / "out" / "bench.json"
LOGS = OUT.with_name("bench")
LAST_LINES = 20
"""Lines of the log of a module that failed, for the terminal."""


def main(modules: list[str]) -> int:
    """Run the modules; returns the exit code."""
    unknown = [name for name in modules or MODULES if not Path(__file__).with_name(f"{name}.py").is_file()]
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}", file=sys.stderr)
        return 2
    entries: list[Entry] = []
    LOGS.mkdir(parents=True, exist_ok=True)
    for name in modules or MODULES:
        begun = time.monotonic()
        print(f"{name} ... ", end="", flush=True)
        entries += _apart(name)
        print(f"{time.monotonic() - begun:.0f} s", flush=True)
    OUT.write_text(json.dumps([asdict(entry) for entry in entries], indent=1) + "\n", encoding="utf-8")
    print(_table(entries))
    return 1 if any(entry.ok is False for entry in entries) else 0


def _apart(name: str) -> list[Entry]:
    """The entries of one module, measured in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "entries.json"
        log = LOGS / f"{name}.log"
        with log.open("w", encoding="utf-8") as file:
            command = [sys.executable, __file__, "--one", name, str(answer)]
            done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            print("\n".join(["", *log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]]))
            return [Entry(name, None, "", "runs", False, f"ended with exit code {done.returncode}: see {log}")]
        return [Entry(**row) for row in json.loads(answer.read_text(encoding="utf-8"))]


def _one(name: str, answer: Path) -> None:
    entries: list[Entry | dict[str, object]] = import_module(name).run()
    rows = [asdict(entry) if isinstance(entry, Entry) else entry for entry in entries]
    answer.write_text(json.dumps(rows), encoding="utf-8")


def _table(entries: list[Entry]) -> str:
    rows = [("", "figure", "value", "target", "")]
    for entry in entries:
        mark = {True: "ok", False: "MISSED", None: ""}[entry.ok]
        value = "-" if entry.value is None else f"{entry.value:g} {entry.unit}"
        rows.append((mark, entry.name, value, entry.target, entry.note))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _one(sys.argv[2], Path(sys.argv[3]))
    else:
        sys.exit(main(sys.argv[1:]))
