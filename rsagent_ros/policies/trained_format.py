"""The chat that a checkpoint was trained with, as `rsagent.json` beside its weights says: overlays and tools.

A model reads coordinates off the pictures it knows, and calls the tools it knows. One that was never trained on either
takes any; release 0.1.0 drew squares, had fewer tools, and wrote no such file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from rsagent_ros.agent.actions import ALL_TOOLS, FIRST_TOOLS, ToolSet, tool_set
from rsagent_ros.agent.pictures import OverlayShape
from rsagent_ros.checkpoint import read_json, unusable
from rsagent_ros.policies.family import CHAT_TEMPLATE

NAME = "rsagent.json"
SHAPES: tuple[OverlayShape, ...] = get_args(OverlayShape)


@dataclass(frozen=True)
class TrainedFormat:
    """The chat that a model knows.

    Attributes:
        overlay: Shape of overlays.
        tools: Names of the tools.
    """

    overlay: OverlayShape = "view"
    tools: ToolSet = ALL_TOOLS


NEWEST_FORMAT = TrainedFormat()
"""The chat of this release; for a model that was never trained on any, too."""

FIRST_FORMAT = TrainedFormat("square", FIRST_TOOLS)
"""The chat of release 0.1.0."""


def write_format(folder: Path, trained: TrainedFormat) -> None:
    """Note in a folder what its model is trained with."""
    (folder / NAME).write_text(json.dumps(asdict(trained)) + "\n", encoding="utf-8")


def read_format(folder: Path) -> TrainedFormat | None:
    """The chat that the file in this folder names; None where there is no file.

    A file without tools is older than those that came after release 0.1.0.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: the file names no such overlay or tool.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    found = read_json(path)
    overlay = next((shape for shape in SHAPES if shape == found.get("overlay")), None)
    if overlay is None:
        raise unusable(f"{path} names the overlay {found.get('overlay')!r}", f"write one of {', '.join(SHAPES)} there")
    names = found.get("tools", list(FIRST_TOOLS))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise unusable(f"{path} has tools that are no list of names", "write the names of tools there")
    try:
        return TrainedFormat(overlay, tool_set(names))
    except ValueError as error:
        raise unusable(f"{path}: {error}", "write the names of tools there") from error


def trained_format(folder: Path, adapter: Path | None = None) -> TrainedFormat:
    """The chat that a model knows.

    Args:
        folder: Its checkpoint.
        adapter: The LoRA adapter that is merged into it.

    Raises:
        RunFailed: As `read_format`.
    """
    named = read_format(folder if adapter is None else adapter)
    if named is not None:
        return named
    template = folder / CHAT_TEMPLATE.name
    # Release 0.1.0 made adapters, and checkpoints with this chat template; others come from elsewhere.
    by_us = adapter is not None or (template.is_file() and template.read_bytes() == CHAT_TEMPLATE.read_bytes())
    return FIRST_FORMAT if by_us else NEWEST_FORMAT
