"""A folder of examples on disk: `scenes.jsonl`, one JSON object a line, beside `images/` and `depth/`.

The simulator, `rsagent collect` and `rsagent questions` write it; so may any program, with these keys:

    version      2; 1 is read as well: it knew no ignore, split, tags, remarks and self_judged
    id           unique; letters, digits, '.', '_' and '-'
    image        file name, relative to the folder
    instruction  what to look for
    expected     "found", "not_in_view" or "ambiguous"; null where nobody has said
    masks        list of COCO run lengths {"size": [h, w], "counts": "text"}
    ignore       the same, of the pixels that do not count; or left out
    depth        file name of a PNG of 16 bits, in millimetres, 0 for unknown; or left out
    camera       {"width", "height", "fx", "fy", "cx", "cy"} in pixels; or left out
    previous     list of {"instruction", "question"}, oldest first; or left out
    category     the first tag, and tags, the others; source, split, remarks, self_judged; each may be left out
    stamp_ns     when the image was made, nanoseconds since 1970 UTC, and place, where; each may be left out
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Rle, decode_rle, encode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.data.example import Example, PngFile
from rsagent_ros.data.files import PNG_SIGNATURE, depth_remarks, inside, png_shape, read_depth, read_image
from rsagent_ros.data.text import text_lines

FILE = "scenes.jsonl"
VERSION = 2
READABLE = (1, VERSION)


class _Versioned(msgspec.Struct, frozen=True):
    version: int


class _Identified(msgspec.Struct, frozen=True):
    id: str


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    version: int
    id: str
    image: str
    instruction: str
    expected: Outcome | None
    masks: list[Rle]
    ignore: Rle | None = None
    depth: str | None = None
    camera: PinholeCamera | None = None
    previous: tuple[Exchange, ...] = ()
    source: str = ""
    split: str = ""
    category: str = ""
    tags: list[str] = []
    remarks: list[str] = []
    self_judged: bool = False
    stamp_ns: int = 0
    place: str = ""


def save_examples(examples: Iterable[Example], folder: Path) -> int:
    """Write examples as they come. Returns how many were written.

    Depth is stored as whole millimetres, 0 for unknown. An image that several examples have is stored once, and one
    that was read from a folder on the same disk is a hard link to its file. A run that was broken off leaves no
    scenes.jsonl behind; it can be started again in the same folder.

    Raises:
        FileExistsError: The folder holds examples already, or two have one id; nothing is overwritten.
    """
    rows = folder / FILE
    if rows.exists():
        raise FileExistsError(f"{rows} exists already, not overwriting; choose another folder")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    partial = rows.with_name(f"{FILE}.partial")  # what a kill leaves must not pass for all of it
    again = partial.exists()
    known: set[str] = set()
    images: dict[bytes, str] = {}
    with partial.open("wb") as out:
        for example in examples:
            if example.id in known:
                raise FileExistsError(f"two examples have the id {example.id}")
            known.add(example.id)
            out.write(msgspec.json.encode(_saved(example, folder, images, again)) + b"\n")
    partial.replace(rows)
    return len(known)


def load_examples(folder: Path) -> Iterator[Example]:
    """Read examples in the order they were written, one image in memory at a time.

    Raises:
        FileNotFoundError: No scenes.jsonl in the folder.
        ValueError: A line that is wrong, with its number and what is wrong with it.
    """
    rows = examples_file(folder)
    for number, _, line in text_lines(rows):
        try:
            example = read_example(line, folder)
        except (ValueError, OSError) as error:
            raise ValueError(f"{rows}, line {number}: {error}") from error
        yield example


def examples_file(folder: Path) -> Path:
    """The scenes.jsonl of a folder.

    Raises:
        FileNotFoundError: It is not there.
    """
    rows = folder / FILE
    if not rows.is_file():
        raise FileNotFoundError(f"{rows} is missing; a folder of scenes holds {FILE}, images/ and depth/")
    return rows


def line_id(line: bytes) -> str:
    """The id of one line of scenes.jsonl; nothing else of it is read.

    Raises:
        ValueError: It has none.
    """
    try:
        return msgspec.json.decode(line, type=_Identified).id
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True)
class ExampleFacts:
    """Facts of an example that are known without its pixels.

    Attributes:
        instruction: As in Example.
        shape: (H, W) of its image, which is there and whole as far as its first and last bytes tell.
    """

    instruction: str
    shape: tuple[int, int]


def read_facts(line: bytes, folder: Path) -> ExampleFacts:
    """The facts of one line of a folder's scenes.jsonl; its image is not decoded.

    Raises:
        ValueError: The line, or its image, is wrong.
    """
    try:
        row = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    return ExampleFacts(row.instruction, png_shape(_png(folder, row.image)))


def read_example(line: bytes, folder: Path, *, depth: bool = True) -> Example:
    """The example of one line of a folder's scenes.jsonl.

    Args:
        line: As bytes.
        folder: Where its files are.
        depth: Read its depth; else it has none.

    Raises:
        ValueError: The line, or a file that it names, is wrong.
        OSError: A file can't be read.
    """
    try:
        version = msgspec.json.decode(line, type=_Versioned).version
        if version not in READABLE:
            raise ValueError(f"the scene is of version {version}; this release reads the versions 1 and {VERSION}")
        row = msgspec.json.decode(line, type=_Line)
        image_path = _png(folder, row.image)
        files = [PngFile(image_path, image := read_image(image_path))]
        measured = None
        if depth and row.depth is not None:
            depth_path = _png(folder, row.depth)
            files.append(PngFile(depth_path, measured := read_depth(depth_path)))
    # RuntimeError is what paths raise for a loop of links, and JSON for a deep nest.
    except (msgspec.DecodeError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    return Example(
        row.id,
        image,
        row.instruction,
        row.expected,
        tuple(decode_rle(rle) for rle in row.masks),
        previous=row.previous,
        ignore=None if row.ignore is None else decode_rle(row.ignore),
        depth=measured,
        camera=row.camera,
        source=row.source,
        split=row.split,
        tags=tuple(filter(None, (row.category, *row.tags))),
        remarks=tuple(dict.fromkeys((*row.remarks, *depth_remarks(measured)))),
        self_judged=row.self_judged,
        stamp_ns=row.stamp_ns,
        place=row.place,
        files=tuple(files),
    )


def _saved(example: Example, folder: Path, images: dict[bytes, str], again: bool) -> _Line:
    """Store the example's pictures; returns its line.

    Args:
        example: To store.
        folder: Where to.
        images: Names of the files that are there, by digest of their pixels; is added to.
        again: Files of a run that was broken off are replaced.
    """
    digest = blake2b(np.ascontiguousarray(example.image).data, digest_size=16).digest()
    image = images.setdefault(digest, f"images/{example.id}.png")
    if image == f"images/{example.id}.png" and not _linked(example, example.image, folder / image, again):
        _write_png(folder / image, np.ascontiguousarray(example.image[:, :, ::-1]), again)
    depth = None
    if example.depth is not None:
        depth = f"depth/{example.id}.png"
        (folder / "depth").mkdir(exist_ok=True)
        if not _linked(example, example.depth, folder / depth, again):
            millimetres = np.nan_to_num(example.depth * 1000.0, nan=0.0, posinf=0.0, neginf=0.0)
            _write_png(folder / depth, np.clip(np.rint(millimetres), 0, 65535).astype(np.uint16), again)
    return _Line(
        version=VERSION,
        id=example.id,
        image=image,
        instruction=example.instruction,
        expected=example.expected,
        masks=[encode_rle(mask) for mask in example.masks],
        ignore=None if example.ignore is None else encode_rle(example.ignore),
        depth=depth,
        camera=example.camera,
        previous=example.previous,
        source=example.source,
        split=example.split,
        category=example.category,
        tags=list(example.tags[1:]),
        remarks=list(example.remarks),
        self_judged=example.self_judged,
        stamp_ns=example.stamp_ns,
        place=example.place,
    )


def _png(folder: Path, name: str) -> Path:
    """The path of a PNG of the folder: of other formats the size is not known before they are in memory."""
    path = inside(folder, name)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
                raise ValueError(f"the file {name} is not a PNG")
    return path


def _linked(example: Example, pixels: NDArray[np.generic], path: Path, again: bool) -> bool:
    """Make the path a hard link to the file that the pixels were read from; returns whether that could be done."""
    source = next((file.path for file in example.files if file.pixels is pixels), None)
    if source is None:
        return False
    if again:
        path.unlink(missing_ok=True)
    try:
        path.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:  # another disk, a file system without links, or a source that is gone
        return False
    return True


def _write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], again: bool) -> None:
    """Store it; what is there is replaced only where a run that was broken off is done `again`."""
    done, data = cv2.imencode(".png", pixels)
    if not done:
        raise ValueError(f"{path}: an array of {pixels.shape} {pixels.dtype} can't be stored as PNG")
    if again:
        path.unlink(missing_ok=True)  # not written into: it may be a link to another folder's file
    with path.open("xb") as out:
        out.write(data.tobytes())
