"""A program in a pseudo-terminal: what it prints is read, and what a person types is written, Ctrl-C included."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 60.0
"""Seconds after which something that should have been printed has not been."""

CTRL_C, END_OF_INPUT = "\x03", "\x04"


class Terminal:
    """The program; ends with the `with` block.

    Attributes:
        process: Its process.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> None:
        """Start it, in a folder; None: where the tests run."""
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            list(command),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
        )
        os.close(slave)
        self._text = ""
        self._change = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._master)
        sys.stdout.write(self.text)  # pytest shows it when the test has failed

    @property
    def text(self) -> str:
        """All that was printed, and typed, so far."""
        return self._text.replace("\r\n", "\n")

    def wait_for(self, words: str) -> None:
        with self._change:
            self._change.wait_for(lambda: words in self.text or not self._reader.is_alive(), PATIENCE)
        assert words in self.text, f"{words!r} was not printed:\n{self.text}"

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def exit_code(self) -> int:
        """Wait for its end, and for all that it printed."""
        code = self.process.wait(PATIENCE)
        until = time.monotonic() + PATIENCE
        while self._reader.is_alive() and time.monotonic() < until:
            self._reader.join(0.05)
        return code

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the other end was closed
            while data := os.read(self._master, 4096):
                with self._change:
                    self._text += data.decode(errors="replace")
                    self._change.notify_all()
        with self._change:
            self._change.notify_all()
