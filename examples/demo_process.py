"""The programs of the demo, beside it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 15.0


class Process:
    """A Python program beside this one, with its output in a file; ended by SIGINT, as from a keyboard."""

    def __init__(self, name: str, arguments: list[str], out: Path) -> None:
        self._name = name
        self._log = (out / f"{name}.log").open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stdout=self._log, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._log.close()
        if code != 0:
            raise RuntimeError(f"the {self._name} ended with exit code {code}; see {self._log.name}")
