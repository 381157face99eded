"""One line of the table, and of `out/bench.json`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Entry:
    """One figure.

    Attributes:
        name: What was measured.
        value: The figure; None where it could not be measured here.
        unit: Of value and target.
        target: What it must be, such as `<= 15`; empty where it is only reported.
        ok: Whether it is; None where there is no target or no value.
        note: What it is made of, or why it could not be measured.
    """

    name: str
    value: float | None
    unit: str
    target: str = ""
    ok: bool | None = None
    note: str = ""


def at_most(name: str, value: float, unit: str, limit: float, note: str = "") -> Entry:
    """A figure that must not be larger than the limit."""
    return Entry(name, round(value, 3), unit, f"<= {limit:g}", value <= limit, note)


def reported(name: str, value: float, unit: str, note: str = "") -> Entry:
    """A figure without a target."""
    return Entry(name, round(value, 3), unit, note=note)


def missing(*modules: str) -> str:
    """One sentence on the modules that can't be imported, and why; empty where all can."""
    for name in modules:
        try:
            import_module(name)
        except ImportError as error:
            return str(error)
    return ""


def not_here(name: str, reason: str) -> Entry:
    """A figure that can't be measured on this machine or in this environment."""
    return Entry(name, None, "", note=f"not measured: {reason}")
