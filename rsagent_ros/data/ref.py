"""References to examples: a data set is listed before it is loaded, and tells which of its entries can't be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from rsagent_ros.data.example import Example


@dataclass(frozen=True, eq=False)
class ExampleRef:
    """An example that a data set has, not loaded yet.

    Attributes:
        id: Of the example.
        where: Its place: file and line, or file and entry.
        load: Reads image and masks. Raises ValueError or OSError with what is wrong.
    """

    id: str
    where: str
    load: Callable[[], Example] = field(repr=False)


@dataclass(frozen=True)
class Skipped:
    """An entry of a data set that can't be used, and so is in no figure.

    Attributes:
        id: As far as known; else empty.
        where: Its place.
        reason: What is wrong, one clause.
        fault: Something is wrong with the data; False where a record simply has no verdict, and so no truth.
    """

    id: str
    where: str
    reason: str
    fault: bool = True


Loader: TypeAlias = Iterator[ExampleRef | Skipped]
"""The protocol of all data sets: their entries in order, cheap to list, each loaded when it is asked for."""


def loaded(example: Example, where: str) -> ExampleRef:
    """A reference to an example that is in memory already."""
    return ExampleRef(example.id, where, lambda: example)


def first_of_each_id(entries: Iterable[ExampleRef | Skipped]) -> Loader:
    """The same entries; of two with one id the first counts, and the other is skipped."""
    first: dict[str, str] = {}
    for entry in entries:
        if isinstance(entry, ExampleRef) and entry.id in first:
            yield Skipped(entry.id, entry.where, f"its id is that of {first[entry.id]}, which counts")
            continue
        if isinstance(entry, ExampleRef):
            first[entry.id] = entry.where
        yield entry
