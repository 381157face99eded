"""Masks of one's own: `truth.jsonl`, one JSON object a line, beside the files it names.

    id           unique; letters, digits, '.', '_' and '-'
    image        file name of the image, relative to this folder; needed to run the agent, not to score masks
    instruction  what to look for; needed to run the agent
    masks        list: each the file name of a PNG (0 outside) or COCO run lengths {"size": [h, w], "counts": "text"}
    expected     "found", "not_in_view" or "ambiguous"; without it "found" with masks, "not_in_view" with none
    ignore       a mask of the pixels that do not count
    size         [height, width] in pixels; needed where there is neither an image nor a mask
    category, source, depth (file name of a PNG, 16 bits, millimetres)

A field that is not in this list is an error: a misspelt one would be lost without a word. A folder without truth.jsonl
that holds ID.png files is read too, to score masks with: each is a truth, a black one means that there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import MAX_PIXELS
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.files import depth_remarks, inside, load_mask, read_image, read_mask
from rsagent_ros.data.sample import Listed, Sample, Skipped, Truth, check_id

FILE = "truth.jsonl"
MAX_LINE_BYTES = 16_000_000


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    image: str | None = None
    instruction: str = ""
    masks: list[str | dict[str, Any]] = []
    expected: Outcome | None = None
    ignore: str | dict[str, Any] | None = None
    size: tuple[int, int] | None = None
    category: str = ""
    source: str = ""
    depth: str | None = None


def list_masks(folder: Path, *, asked: bool = True) -> Iterator[Listed | Skipped]:
    """The samples of a folder, in the order of truth.jsonl or by file name.

    Args:
        folder: That holds truth.jsonl, or ID.png files.
        asked: The agent is to be run: image and instruction are needed. Otherwise samples come with a black image.

    Raises:
        FileNotFoundError: The folder holds neither.
    """
    rows = folder / FILE
    if rows.is_file():
        yield from _listed(rows, asked)
        return
    files = sorted(folder.glob("*.png"))
    if asked or not files:
        raise FileNotFoundError(f"{rows} is missing" + ("" if asked else f", and {folder} holds no ID.png either"))
    for path in files:
        try:
            name = check_id(path.stem)
        except ValueError as error:
            yield Skipped("", str(path), str(error))
        else:
            yield Listed(name, str(path), partial(_of_png, path, name))


def _listed(rows: Path, asked: bool) -> Iterator[Listed | Skipped]:
    with rows.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            place = f"{rows}, line {number}"
            try:
                if len(line) > MAX_LINE_BYTES:
                    raise ValueError(f"the line has over {MAX_LINE_BYTES} bytes")
                row = msgspec.json.decode(line, type=_Row)
                check_id(row.id)
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                yield Skipped("", place, str(error))
            else:
                yield Listed(row.id, place, partial(_load, row, rows.parent, asked))


def _load(row: _Row, folder: Path, asked: bool) -> Sample:
    if asked and (row.image is None or not row.instruction.strip()):
        raise ValueError('"image" and "instruction" are needed to run the agent')
    masks = tuple(load_mask(mask, folder) for mask in row.masks)
    ignore = None if row.ignore is None else load_mask(row.ignore, folder)
    image = None
    known = row.size or next(((mask.shape[0], mask.shape[1]) for mask in (*masks, ignore) if mask is not None), None)
    if row.image is not None and (asked or known is None):
        image = read_image(inside(folder, row.image))
        known = known or (image.shape[0], image.shape[1])
    if known is None:
        raise ValueError('"size" is needed where there is neither an image nor a mask')
    shape = known if image is None else (image.shape[0], image.shape[1])
    if image is None:
        if not 0 < shape[0] * shape[1] <= MAX_PIXELS or min(shape) < 1:
            raise ValueError(f'"size" is {list(shape)}; it must be [height, width] of at most {MAX_PIXELS} pixels')
        image = np.zeros((*shape, 3), np.uint8)
    expected = row.expected or (Outcome.FOUND if masks else Outcome.NOT_IN_VIEW)
    remarks = depth_remarks(_depth(inside(folder, row.depth))) if row.depth is not None else ()
    truth = Truth(row.id, shape, expected, masks, ignore, row.category, row.source or str(folder.name), remarks)
    return Sample(truth, image, row.instruction)


def _depth(path: Path) -> NDArray[np.float32]:
    """Metres, NaN where unknown."""
    if not path.is_file():
        raise ValueError(f"the file {path} is missing")
    data = np.frombuffer(path.read_bytes(), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise ValueError(f"the file {path} is no PNG of 16 bits and one channel")
    return np.where(pixels > 0, pixels / np.float32(1000), np.float32(np.nan)).astype(np.float32)


def _of_png(path: Path, name: str) -> Sample:
    mask = read_mask(path)
    shape = (mask.shape[0], mask.shape[1])
    there = bool(mask.any())
    expected = Outcome.FOUND if there else Outcome.NOT_IN_VIEW
    truth = Truth(name, shape, expected, (mask,) if there else (), source=path.parent.name)
    return Sample(truth, np.zeros((*shape, 3), np.uint8), "")
