"""One's own masks: `truth.jsonl`, one JSON object a line, beside the files it names.

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

from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from rsagent_ros.agent.mask import MAX_PIXELS
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example, blank_image, check_id
from rsagent_ros.data.files import depth_remarks, inside, load_mask, read_depth, read_image, read_mask
from rsagent_ros.data.ref import ExampleRef, Loader, Skipped
from rsagent_ros.data.text import text_lines

FILE = "truth.jsonl"
MAX_LINE_BYTES = 16_000_000


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


def list_masks(folder: Path, *, masks_only: bool = False) -> Loader:
    """The examples of a folder, in the order of truth.jsonl or by file name.

    Args:
        folder: Holds truth.jsonl, or ID.png files.
        masks_only: Image and instruction may be missing; examples come with a black image.

    Raises:
        FileNotFoundError: The folder holds neither.
    """
    file = folder / FILE
    if file.is_file():
        yield from _list_lines(file, masks_only)
        return
    files = sorted(folder.glob("*.png"))
    if not (masks_only and files):
        raise FileNotFoundError(f"{file} is missing" + (f", and {folder} holds no ID.png either" if masks_only else ""))
    for path in files:
        try:
            name = check_id(path.stem)
        except ValueError as error:
            yield Skipped("", str(path), str(error))
        else:
            yield ExampleRef(name, str(path), partial(_load_png, path, name))


def _list_lines(file: Path, masks_only: bool) -> Loader:
    for number, _, line in text_lines(file):
        where = f"{file}, line {number}"
        try:
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"the line has over {MAX_LINE_BYTES} bytes")
            row = msgspec.json.decode(line, type=_Line)
            check_id(row.id)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            yield Skipped("", where, str(error))
        else:
            yield ExampleRef(row.id, where, partial(_load, row, file.parent, masks_only))


def _load(row: _Line, folder: Path, masks_only: bool) -> Example:
    if not masks_only and (row.image is None or not row.instruction.strip()):
        raise ValueError('"image" and "instruction" are needed to run the agent')
    masks = tuple(load_mask(mask, folder) for mask in row.masks)
    ignore = None if row.ignore is None else load_mask(row.ignore, folder)
    shape = row.size or next(((mask.shape[0], mask.shape[1]) for mask in (*masks, ignore) if mask is not None), None)
    if row.image is not None and (shape is None or not masks_only):
        image = read_image(inside(folder, row.image))
    elif shape is None:
        raise ValueError('"size" is needed where there is neither an image nor a mask')
    elif min(shape) < 1 or shape[0] * shape[1] > MAX_PIXELS:
        raise ValueError(f'"size" is {list(shape)}; it must be [height, width] of at most {MAX_PIXELS} pixels')
    else:
        image = blank_image(shape)
    depth = None if row.depth is None else read_depth(inside(folder, row.depth))
    return Example(
        row.id,
        image,
        row.instruction,
        row.expected or (Outcome.FOUND if masks else Outcome.NOT_IN_VIEW),
        masks,
        ignore=ignore,
        depth=depth,
        source=row.source or folder.name,
        tags=(row.category,) if row.category else (),
        remarks=depth_remarks(depth),
    )


def _load_png(path: Path, name: str) -> Example:
    mask = read_mask(path)
    image = blank_image((mask.shape[0], mask.shape[1]))
    if not mask.any():
        return Example(name, image, "", Outcome.NOT_IN_VIEW, source=path.parent.name)
    return Example(name, image, "", Outcome.FOUND, (mask,), source=path.parent.name)
