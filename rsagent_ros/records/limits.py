"""Limits of the disk space and time that records may take."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on what is kept.

    Attributes:
        megabytes: Of all records in the folder together; the oldest goals are removed first.
        days: Since a goal was recorded; older ones are removed.
        free_megabytes: Of the disk that records never take. Nothing is removed for it: others may be filling the disk.

    Raises:
        ValueError: A limit that is not positive, or a negative floor.
    """

    megabytes: float = 10_000.0
    days: float = 30.0
    free_megabytes: float = 1_000.0

    def __post_init__(self) -> None:
        if not (self.megabytes > 0 and self.days > 0 and self.free_megabytes >= 0):
            raise ValueError(f"limits of records are {self}; they must be greater than 0, free_megabytes at least 0")


KEEP_ALL = Limits(math.inf, math.inf)
"""Limits by which nothing is ever removed: for a folder that somebody named, which may hold other records."""
