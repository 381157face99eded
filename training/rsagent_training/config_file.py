"""A YAML file as a frozen dataclass: every key is one of its fields, and what is left out keeps its default."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
import yaml

Config = TypeVar("Config")


def read_config(kind: type[Config], path: Path) -> Config:
    """The configuration in a YAML file.

    Args:
        kind: A frozen dataclass that checks itself; fields may be such dataclasses too.
        path: The file; one that is empty gives the defaults.

    Raises:
        ValueError: Not YAML, a key that is no field, a value of another type, or one that the dataclass refuses. The
            message has the path and what would be right.
        OSError: The file can't be read.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        _check_keys(data, kind, "")
        return msgspec.convert(data, kind)
    except (yaml.YAMLError, UnicodeError, msgspec.ValidationError, ValueError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error


def _check_keys(data: object, kind: Any, prefix: str) -> None:
    """Refuse keys that are no fields; a misspelt one would silently be the default."""
    if not isinstance(data, dict):
        raise ValueError(f"{prefix.rstrip('.') or 'it'} holds {type(data).__name__}; `name: value` lines are expected")
    known = [field.name for field in fields(kind)]
    unknown = sorted(f"{prefix}{key}" for key in data if key not in known)
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(prefix + name for name in known)}")
    for name, part in get_type_hints(kind).items():
        if name in data and is_dataclass(part):
            _check_keys(data[name], part, f"{prefix}{name}.")
