"""Newest: forgets the oldest, and an entry that is set again is the newest."""

from __future__ import annotations

from rsagent_ros.ros.newest import Newest


def test_the_oldest_is_forgotten_and_what_is_set_again_is_new() -> None:
    kept: Newest[str, int] = Newest(2)
    kept["a"] = 1
    kept["b"] = 2
    kept["a"] = 3
    kept["c"] = 4
    assert dict(kept) == {"a": 3, "c": 4}
    assert list(kept) == ["a", "c"]
