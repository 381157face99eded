"""The pictures that a checkpoint was trained with, as `rsagent.json` beside its weights says: `{"overlay": "view"}`.

A model reads coordinates off the pictures it knows. One that never saw an overlay takes any; release 0.1.0 drew squares
and wrote no such file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from rsagent_ros.agent.pictures import OverlayShape
from rsagent_ros.checkpoint import read_json, unusable
from rsagent_ros.policies.family import CHAT_TEMPLATE

NAME = "rsagent.json"
SHAPES: tuple[OverlayShape, ...] = get_args(OverlayShape)


def write_overlay(folder: Path, overlay: OverlayShape) -> None:
    """Note in a folder which overlays its model is trained with."""
    (folder / NAME).write_text(json.dumps({"overlay": overlay}) + "\n", encoding="utf-8")


def read_overlay(folder: Path) -> OverlayShape | None:
    """The shape of overlays that the file in this folder names; None where there is no file.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: the file names no such shape.
    """
    if not (folder / NAME).is_file():
        return None
    found = read_json(folder / NAME).get("overlay")
    for shape in SHAPES:
        if found == shape:
            return shape
    raise unusable(f"{folder / NAME} names the overlay {found!r}", f"write one of {', '.join(SHAPES)} there")


def trained_overlay(folder: Path, adapter: Path | None = None) -> OverlayShape:
    """The shape of overlays that a model knows.

    Args:
        folder: Its checkpoint.
        adapter: The LoRA adapter that is merged into it.

    Raises:
        RunFailed: As `read_overlay`.
    """
    named = read_overlay(folder if adapter is None else adapter)
    if named is not None:
        return named
    template = folder / CHAT_TEMPLATE.name
    # Release 0.1.0 made adapters, and checkpoints with this chat template; others come from elsewhere.
    by_us = adapter is not None or (template.is_file() and template.read_bytes() == CHAT_TEMPLATE.read_bytes())
    return "square" if by_us else "view"
