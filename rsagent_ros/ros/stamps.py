"""Stamps of messages as whole nanoseconds, and back."""

from __future__ import annotations

from builtin_interfaces.msg import Time


def nanoseconds(stamp: Time) -> int:
    """Convert a stamp to whole nanoseconds; 0 for a stamp that was not set."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def stamp(nanoseconds: int) -> Time:
    """Convert whole nanoseconds to a stamp."""
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)
