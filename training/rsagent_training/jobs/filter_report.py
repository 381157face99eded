"""Counts of what each filter dropped and why: all that a report of training data needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Element = TypeVar("Element")


class NothingLeft(ValueError):
    """The filters left nothing; the message names the one that dropped the last."""


class FilterReport:
    """Counts what comes in, and what each filter drops.

    Attributes:
        what: What is counted, in the plural: "trajectories".
        entered: How many came in.
        dropped: For each filter in its order, how many it dropped for each reason.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.entered = 0
        self.dropped: dict[str, Counter[str]] = {}
        self._last = ""

    @property
    def left(self) -> int:
        """Number of items that no filter has dropped."""
        return self.entered - sum(sum(reasons.values()) for reasons in self.dropped.values())

    def drop(self, filter_name: str, reason: str) -> None:
        """Count one that a filter dropped."""
        self.dropped.setdefault(filter_name, Counter())[reason] += 1
        self._last = filter_name

    def apply(self, filter_name: str, items: Iterable[Element], fault: Callable[[Element], str]) -> list[Element]:
        """Keep the items without a fault; `fault` says in a few words why one is dropped, or nothing."""
        self.dropped.setdefault(filter_name, Counter())
        kept = []
        for item in items:
            reason = fault(item)
            if reason:
                self.drop(filter_name, reason)
            else:
                kept.append(item)
        return kept

    def check(self) -> None:
        """Go on only if something is left.

        Raises:
            NothingLeft: Nothing is, and which filter dropped the last of it.
        """
        if self.left > 0:
            return
        if not self.entered:
            raise NothingLeft(f"there are no {self.what}: nothing came in")
        reasons = "; ".join(f"{count} {reason}" for reason, count in self.dropped[self._last].most_common(3))
        raise NothingLeft(
            f"no {self.what} are left of {self.entered}: the filter '{self._last}' dropped the last of them ({reasons})"
        )

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {
            "entered": self.entered,
            "dropped": {name: dict(reasons.most_common()) for name, reasons in self.dropped.items()},
            "left": self.left,
        }

    def to_markdown(self) -> str:
        """The counts as a table, one line for each filter and reason."""
        lines = [f"| Filter | Reason | {self.what.capitalize()} |", "|---|---|---:|", f"| | came in | {self.entered} |"]
        for name, reasons in self.dropped.items():
            for reason, count in reasons.most_common() or [("nothing to drop", 0)]:
                lines.append(f"| {name} | {reason.replace('|', '/')} | -{count} |")
        return "\n".join([*lines, f"| | **left** | **{self.left}** |"]) + "\n"
