"""ROS domains for tests: processes that test at the same time on one machine, in other checkouts too, do not meet."""

from __future__ import annotations

import fcntl
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FIRST, LAST, BLOCK = 1, 100, 10
"""Above 101 a domain's ports can be those of outgoing connections; `make demo` has 101."""


def _claim() -> Iterator[int]:
    """Domains of a block that no other process holds, round and round; held until the process ends."""
    for start in range(FIRST, LAST + 1, BLOCK):
        lock = (Path(tempfile.gettempdir()) / f"rsagent-domains-{start}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _held.append(lock)
        return itertools.cycle(range(start, start + BLOCK))
    raise RuntimeError("every block of ROS domains is in use by another test run; wait for one to end")


_held: list[object] = []
_kept: set[int] = set()
_domains: Iterator[int] | None = None


def next_domain() -> int:
    """A domain that was not used lately.

    Raises:
        RuntimeError: Ten other processes hold all domains.
    """
    global _domains
    if _domains is None:
        _domains = _claim()
    return next(domain for domain in _domains if domain not in _kept)


@contextmanager
def kept_domain() -> Iterator[int]:
    """A domain for what outlives a test: nobody else gets it meanwhile."""
    domain = next_domain()
    _kept.add(domain)
    try:
        yield domain
    finally:
        _kept.discard(domain)
