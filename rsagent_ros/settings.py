"""Settings of a part, declared once: flags, ROS parameters and tables in the docs come from them.

A part is a frozen dataclass:

    @dataclass(frozen=True)
    class LocalConfig:
        context: int = setting(8192, "most tokens of one conversation", unit="tokens", low=1, high=10_000_000)

        def __post_init__(self) -> None:
            check(self)

`check` holds its values against what was declared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Setting:
    """The facts about a field beside its name, type and default.

    Attributes:
        meaning: One clause.
        unit: Of a number; empty for a count.
        low, high: Range of a number, both included.
        choices: The values of a word; empty where any will do.
    """

    meaning: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()

    @property
    def limits(self) -> str:
        """Range or choices in words; empty where there are none."""
        if self.choices:
            return ", ".join(choice or "(empty)" for choice in self.choices)
        return "" if math.isinf(self.high) else f"{_written(self.low)} to {_written(self.high)}"

    def allows(self, value: object) -> bool:
        """Whether the value is within range or choices. NaN never is; a list of words always."""
        if isinstance(value, tuple):
            return all(isinstance(word, str) for word in value)
        if isinstance(value, str):
            return value in self.choices if self.choices else math.isinf(self.high)
        return isinstance(value, bool) or (isinstance(value, int | float) and self.low <= value <= self.high)


def _written(number: float) -> str:
    """Without an exponent where it is whole."""
    return str(int(number)) if number == int(number) else f"{number:g}"


def setting(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
    **more: object,
) -> Any:
    """A dataclass field with its Setting; `more` becomes metadata of the field."""
    return field(default=default, metadata={"setting": Setting(meaning, unit, low, high, choices), **more})


def settings_of(part: Any) -> dict[str, Setting]:
    """The settings of a dataclass or an instance of it, by field name and in order."""
    return {each.name: each.metadata["setting"] for each in fields(part) if "setting" in each.metadata}


def check(part: Any) -> None:
    """Hold every value of a dataclass instance against its setting.

    Raises:
        ValueError: A value out of its range or choices; the message says what is allowed.
    """
    for name, known in settings_of(part).items():
        value = getattr(part, name)
        if not known.allows(value):
            raise ValueError(f"{name} is {value!r}; allowed: {known.limits}")
