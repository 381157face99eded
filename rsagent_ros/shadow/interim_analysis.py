"""When a contest was looked at, to decide without a person; on the disk, because a look can't be taken back.

Whoever looks after every goal, and stops when it suits him, will once see any candidate ahead: the interval is wrong in
one of forty looks. So a contest is looked at when both sides have answered all there is, and then not before as many
new goals have come as there were then. docs/shadow.md has what that is worth.
"""

from __future__ import annotations

import contextlib
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

import msgspec

from rsagent_ros.atomic_write import atomic_write
from rsagent_ros.shadow.paired_result import Standing


class _Look(msgspec.Struct):
    goals: frozenset[str]
    sure: bool


class Looks:
    """The last look at one contest."""

    def __init__(self, path: Path) -> None:
        """Read it, where there is one; a file that is none counts as one that found nothing.

        Raises:
            OSError: It can't be read.
        """
        self._path = path
        self._last = _Look(frozenset(), False)
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError, UnicodeError):
            self._last = msgspec.json.decode(path.read_bytes(), type=_Look)

    def take(self, standing: Standing, goals: Set[str]) -> Standing:
        """Look, if it is time, and tell what the last look found.

        Args:
            standing: As it is now.
            goals: Ids of its judged goals. The oldest leave them when there are very many, so what is new is counted.

        Raises:
            OSError: The look can't be written down, and so does not count.
        """
        enough = standing.goals >= standing.needed and len(goals - self._last.goals) >= len(self._last.goals)
        if standing.finished and enough:
            look = _Look(frozenset(goals), standing.sure)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self._path, msgspec.json.encode(look))
            self._last = look
        return replace(standing, cleared=self._last.sure)
