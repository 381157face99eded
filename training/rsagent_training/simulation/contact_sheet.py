"""A contact sheet: many scenes on one picture, each with its truth outlined and its instruction below it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example

_WIDTH, _CAPTION, _COLUMNS = 480, 44, 4


def write_sheet(tiles: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """Writes the sheet as PNG.

    Args:
        tiles: At least one, as `tile` makes them.
        path: Must not exist.

    Raises:
        FileExistsError: The file is there already.
    """
    height = max(one.shape[0] for one in tiles)
    places = -(-len(tiles) // _COLUMNS) * _COLUMNS
    sheet = np.full((places, height, _WIDTH, 3), 255, np.uint8)
    for place, one in zip(sheet, tiles, strict=False):
        place[: one.shape[0]] = one
    rows = sheet.reshape(-1, _COLUMNS, height, _WIDTH, 3).transpose(0, 2, 1, 3, 4).reshape(-1, _COLUMNS * _WIDTH, 3)
    with path.open("xb") as file:
        file.write(cv2.imencode(".png", cv2.cvtColor(rows, cv2.COLOR_RGB2BGR))[1].tobytes())


def tile(scene: Example) -> NDArray[np.uint8]:
    """One scene, small: wanted things outlined in green, candidates of an ambiguous goal in magenta."""
    picture = scene.image.copy()
    colour = (0, 255, 0) if scene.expected is Outcome.FOUND else (255, 0, 255)
    for mask in scene.masks:
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, colour, 2)
    height = round(_WIDTH * picture.shape[0] / picture.shape[1])
    small = cv2.resize(picture, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    caption = np.full((_CAPTION, _WIDTH, 3), 255, np.uint8)
    for row, text in enumerate((scene.instruction, f"{scene.expected}  {scene.id}")):
        cv2.putText(caption, text, (6, 17 + 20 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([small, caption])
