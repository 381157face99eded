"""A log of finished work: one line of JSON each, so that a run that was killed goes on where it was.

The first line holds the settings that the work depends on. A log of other settings is refused: its results can't be
mixed with new ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class ResumeLog:
    """A file that only ever grows. Opened once, by one process.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Open it, or begin it.

        Args:
            path: The file; its folder is made.
            settings: What the results depend on, as JSON values.

        Raises:
            ValueError: It was begun with other settings; the message names the first that differs.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        settings = json.loads(json.dumps(settings))
        known = settings_of(path)
        if not known:
            path.write_text(json.dumps(settings) + "\n", encoding="utf-8")
            return
        for name in {**known, **settings}:
            if known.get(name) != settings.get(name):
                raise ValueError(
                    f"{path} was begun with {name} {known.get(name)!r}, now it is {settings.get(name)!r}; use the same "
                    "settings to go on with it, or another folder"
                )
        self._mend()

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Results so far, in the order they were added, each with its place."""
        with self.path.open("rb") as lines:
            place = len(next(lines))
            for line in lines:
                yield place, line
                place += len(line)

    def at(self, place: int) -> bytes:
        """The result at a place that `lines` told."""
        with self.path.open("rb") as lines:
            lines.seek(place)
            return lines.readline()

    def add(self, line: bytes) -> None:
        """Add a result, one line with its newline; it is in the file when this returns."""
        with self.path.open("ab") as out:
            out.write(line)

    def _mend(self) -> None:
        """Cut off the line that a kill left without its end."""
        with self.path.open("rb+") as file:
            data = file.read()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                file.truncate(whole)


def settings_of(path: Path) -> dict[str, Any]:
    """The settings that a journal was begun with; empty where there is none, or a kill left half of its first line."""
    if not path.exists():
        return {}
    with path.open("rb") as lines:
        begun = lines.readline()
    known: dict[str, Any] = json.loads(begun) if begun.endswith(b"\n") else {}
    return known
