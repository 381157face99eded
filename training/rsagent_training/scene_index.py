"""A folder of scenes by id: each scene is read when it is asked for, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import FILE, ExampleFacts, examples_file, line_id, read_example, read_facts

Found = TypeVar("Found")


class SceneIndex(Mapping[str, Example]):
    """The scenes of a folder that `save_examples` wrote, in the order they were written.

    Holds where each line begins, no picture: a set of any size costs about a hundred bytes a scene.
    """

    def __init__(self, folder: Path) -> None:
        """Read the ids; blocks for about a second per 100,000 scenes.

        Raises:
            FileNotFoundError: No scenes.jsonl in the folder.
            ValueError: A line without an id, or an id twice; the message has the line's number.
        """
        self.folder = folder
        self._rows = examples_file(folder)
        self._places: dict[str, tuple[int, int]] = {}
        begin = 0
        with self._rows.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    self._add(line, number, begin)
                begin += len(line)

    @staticmethod
    def cached(folder: str) -> SceneIndex:
        """The index of a folder; read again in this process only when its scenes.jsonl has changed."""
        rows = Path(folder) / FILE
        state = rows.stat() if rows.is_file() else None
        return _index(folder, None if state is None else (state.st_mtime_ns, state.st_size))

    def _add(self, line: bytes, number: int, begin: int) -> None:
        try:
            name = line_id(line)
        except ValueError as error:
            raise ValueError(f"{self._rows}, line {number}: {error}") from error
        if name in self._places:
            raise ValueError(f"{self._rows}, line {number}: scene {name} is in line {self._places[name][0]} already")
        self._places[name] = number, begin

    def __getitem__(self, name: str) -> Example:
        """The scene of that id, read from disk.

        Raises:
            KeyError: There is none of that id.
            ValueError: Its line or its image is wrong; the message has the line's number.
        """
        return self._read(name, lambda line: read_example(line, self.folder))

    def image(self, name: str) -> NDArray[np.uint8]:
        """The (H, W, 3) uint8 RGB image of a scene; its depth is not read.

        Raises:
            KeyError, ValueError: As for the scene.
        """
        return self._read(name, lambda line: read_example(line, self.folder, depth=False)).image

    def facts(self, name: str) -> ExampleFacts:
        """Facts of a scene, without its pixels.

        Raises:
            KeyError, ValueError: As for the scene.
        """
        return self._read(name, lambda line: read_facts(line, self.folder))

    def _read(self, name: str, read: Callable[[bytes], Found]) -> Found:
        number, begin = self._places[name]
        with self._rows.open("rb") as lines:
            lines.seek(begin)
            line = lines.readline()
        try:
            return read(line)
        except (ValueError, OSError) as error:
            raise ValueError(f"{self._rows}, line {number}: {error}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@lru_cache(maxsize=64)
def _index(folder: str, state: tuple[int, int] | None) -> SceneIndex:
    return SceneIndex(Path(folder))
