"""The fault matrix, over real DDS and processes. It writes `out/faults.json`, from which docs/reliability.md is made.

For every fault: each accepted goal ends exactly once, in time, with the right error code; the next goal works; and the
record of every goal that had an image is on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faults.matrix import Row
from faults.rows import ROWS
from faults.stage import Stage


class Stages:
    """The stage of the last row; the next one shares it where its set-up is the same."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._stage: Stage | None = None

    def of(self, row: Row) -> Stage:
        if self._stage is None or self._stage.setup != row.setup:
            self.close()
            self._stage = Stage(row.setup, self._folders.mktemp("records"))
        return self._stage

    def close(self) -> None:
        stage, self._stage = self._stage, None
        if stage is not None:
            stage.close()


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    opened = Stages(tmp_path_factory)
    yield opened
    opened.close()


@pytest.mark.parametrize("row", [pytest.param(row, id=row.fault) for row in ROWS])
def test_fault(stages: Stages, row: Row) -> None:
    assert stages.of(row).play(row) == []
