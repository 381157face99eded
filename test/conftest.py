"""Set-up of all tests: what lets several processes run them side by side (`pytest -n 2`)."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest
from browser import Browser

if "PYTEST_XDIST_WORKER" in os.environ:
    # Libraries read it when they are imported. With a thread for each core in each worker they would wait for another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape half surrogate pairs in captured output: UTF-8 cannot hold them, so a worker could not send its report."""
    report = yield
    report.sections = [(title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser
