"""A YAML file as a frozen dataclass that checks itself: every name in it is one of the fields.

Fields may be such dataclasses too, optional ones, or tuples of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
import yaml

MAX_BYTES = 100_000

Kind = TypeVar("Kind")


def read_yaml(path: Path, kind: type[Kind], changes: Iterable[str] = ()) -> Kind:
    """Content of a file.

    Args:
        path: The file; an empty one gives the defaults, where all fields have one.
        kind: What it is to be.
        changes: Such as `optimisation.seed=3`; they take the place of what the file says, values as in YAML.

    Raises:
        ValueError: It can't be read, or holds what can't be; the message names the file.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        data = yaml.safe_load(text)
        if data is None and not any(map(_required, _fields(kind))):
            data = {}
        for change in changes:
            _change(data, change)
        return from_plain(data, kind)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (ValueError, msgspec.ValidationError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error


def from_plain(data: object, kind: type[Kind]) -> Kind:
    """A dataclass of plain data, such as YAML gives.

    Raises:
        ValueError: A name that means nothing, one that is missing, or a value that can't be.
    """
    _check_names(data, kind, "")
    return msgspec.convert(data, kind)


def write_yaml(value: Any, path: Path) -> None:
    """Write a dataclass with every value; `read_yaml` gives it back."""
    # Not at once: of what `convert` made, `to_builtins` leaves out the fields that are at their defaults.
    values = msgspec.to_builtins(asdict(value))
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def _change(data: Any, change: str) -> None:
    name, sign, value = change.partition("=")
    *above, last = name.strip().split(".")
    if not sign or not last:
        raise ValueError(f"{change!r} must be NAME=VALUE, such as optimisation.seed=3")
    for part in above:
        data = data.setdefault(part, {}) if isinstance(data, dict) else None
    if not isinstance(data, dict):
        raise ValueError(f"{change!r}: {'.'.join(above)} holds no names")
    data[last] = yaml.safe_load(value)


def _fields(kind: Any) -> tuple[Field[Any], ...]:
    return fields(kind)


def _required(part: Field[Any]) -> bool:
    return part.default is MISSING and part.default_factory is MISSING


def _check_names(data: object, kind: type[Any], prefix: str) -> None:
    """Refuse names that mean nothing, and missing ones: a misspelt name would silently be the default."""
    if not isinstance(data, dict):
        raise ValueError(f"{prefix.rstrip('.') or 'it'} must be a mapping of names to values")
    known = {part.name: part for part in _fields(kind)}
    for name in data:
        if name not in known:
            raise ValueError(f"there is no {prefix}{name}; there are {', '.join(known)}")
    for name, part in known.items():
        if name not in data and _required(part):
            raise ValueError(f"{prefix}{name} is missing")
    for name, hint in get_type_hints(kind).items():
        for inner in (hint, *get_args(hint)):
            # An optional part may be null; a tuple of parts is a list in the file.
            if isinstance(inner, type) and is_dataclass(inner) and data.get(name) is not None:
                parts = data[name] if isinstance(data[name], list) else [data[name]]
                for part in parts:
                    _check_names(part, inner, f"{prefix}{name}.")
