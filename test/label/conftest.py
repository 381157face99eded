"""A folder for the records of the tests of the page."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"
