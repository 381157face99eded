"""A scene: one image, one instruction and the truth about it. The unit of evaluation and training, and its files."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import MAX_PIXELS, Mask, Rle, decode_rle, encode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.data.camera import PinholeCamera

VERSION = 1
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
EXPECTED = (Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS)


@dataclass(frozen=True, eq=False)
class Scene:
    """One question about one image, with its answer.

    Attributes:
        id: Unique in its set; letters, digits, '.', '_' and '-', so that it can name files.
        image: (H, W, 3) uint8 RGB.
        instruction: What to look for, in words.
        expected: FOUND, NOT_IN_VIEW or AMBIGUOUS.
        masks: (H, W) bool each. FOUND: one for each instance that was asked for; AMBIGUOUS: all that fit, two or more;
            NOT_IN_VIEW: none.
        source: Where it comes from, in words.
        category: Kind of question, for tables by category.
        depth: (H, W) float32 metres along the optical axis; NaN where unknown.
        camera: Of the image.
        previous: What was said about it before, where the instruction answers a question; oldest first.

    Raises:
        ValueError: The parts contradict each other.
    """

    id: str
    image: NDArray[np.uint8]
    instruction: str
    expected: Outcome
    masks: tuple[Mask, ...]
    source: str
    category: str
    depth: NDArray[np.float32] | None = None
    camera: PinholeCamera | None = None
    previous: tuple[Exchange, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,120}", self.id) or self.id.startswith("."):
            raise ValueError(f"scene id {self.id!r}: use letters, digits, '.', '_' and '-', at most 120")
        if self.expected not in EXPECTED:
            raise ValueError(f"scene {self.id}: expected is {self.expected}; it must be one of {[*EXPECTED]}")
        fits = {
            Outcome.FOUND: len(self.masks) >= 1,
            Outcome.AMBIGUOUS: len(self.masks) >= 2,
        }
        if not fits.get(self.expected, not self.masks):
            raise ValueError(f"scene {self.id}: {len(self.masks)} masks do not fit the outcome {self.expected}")
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(
                f"scene {self.id}: the image is {self.image.shape} {self.image.dtype}, not (height, width, 3) uint8"
            )
        for number, mask in enumerate(self.masks, 1):
            if mask.shape != self.image.shape[:2]:
                raise ValueError(
                    f"scene {self.id}: mask {number} is {mask.shape}, the image {self.image.shape[:2]} (height, width)"
                )
        if self.depth is not None and self.depth.shape != self.image.shape[:2]:
            raise ValueError(f"scene {self.id}: depth is {self.depth.shape}, the image {self.image.shape[:2]}")


@dataclass(frozen=True)
class _Versioned:
    version: int


@dataclass(frozen=True)
class _Row:
    """One line of scenes.jsonl. Paths are relative to its folder."""

    version: int
    id: str
    image: str
    instruction: str
    expected: Outcome
    masks: list[Rle]
    source: str = ""
    category: str = ""
    depth: str | None = None
    camera: PinholeCamera | None = None
    previous: tuple[Exchange, ...] = ()


def save_scenes(scenes: Iterable[Scene], folder: Path) -> int:
    """Write scenes as they come: `scenes.jsonl`, one line each, beside `images/` and `depth/` as PNG.

    Depth is stored as whole millimetres, 0 for unknown. Returns how many were written. Of a run that was broken off
    there is no scenes.jsonl; it can be started again in the same folder.

    Raises:
        FileExistsError: The folder holds scenes already, or two scenes have one id; nothing is overwritten.
    """
    rows = folder / "scenes.jsonl"
    if rows.exists():
        raise FileExistsError(f"{rows} exists already, not overwriting; choose another folder")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    partial = rows.with_name(f"{rows.name}.partial")  # what a kill leaves must not pass for all of it
    again = partial.exists()
    known: set[str] = set()
    with partial.open("w", encoding="utf-8") as out:
        for scene in scenes:
            if scene.id in known:
                raise FileExistsError(f"two scenes have the id {scene.id}")
            known.add(scene.id)
            image = f"images/{scene.id}.png"
            _write_png(folder / image, np.ascontiguousarray(scene.image[:, :, ::-1]), again)
            depth = None
            if scene.depth is not None:
                depth = f"depth/{scene.id}.png"
                (folder / "depth").mkdir(exist_ok=True)
                millimetres = np.nan_to_num(scene.depth * 1000.0, nan=0.0, posinf=0.0, neginf=0.0)
                _write_png(
                    folder / depth,
                    np.clip(np.rint(millimetres), 0, 65535).astype(np.uint16),
                    again,
                )
            row = _Row(
                VERSION,
                scene.id,
                image,
                scene.instruction,
                scene.expected,
                [encode_rle(mask) for mask in scene.masks],
                scene.source,
                scene.category,
                depth,
                scene.camera,
                scene.previous,
            )
            out.write(msgspec.json.encode(row).decode() + "\n")
    partial.replace(rows)
    return len(known)


def load_scenes(folder: Path) -> Iterator[Scene]:
    """Read scenes in the order they were written, one image in memory at a time.

    Raises:
        FileNotFoundError: No scenes.jsonl in the folder.
        ValueError: A line that is wrong, with its number and what is wrong with it.
    """
    rows = folder / "scenes.jsonl"
    if not rows.is_file():
        raise FileNotFoundError(f"{rows} is missing; a folder of scenes holds scenes.jsonl, images/ and depth/")
    with rows.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                scene = read_scene(line, folder)
            # RuntimeError is what paths raise for a loop of links, and JSON for a deep nest.
            except (msgspec.DecodeError, ValueError, OSError, RuntimeError) as error:
                raise ValueError(f"{rows}, line {number}: {error}") from error
            yield scene


def read_scene(line: bytes, folder: Path) -> Scene:
    """The scene of one line of a folder's scenes.jsonl.

    Raises:
        ValueError: What is wrong with the line, or with a file that it names.
    """
    version = msgspec.json.decode(line, type=_Versioned).version
    if version != VERSION:
        raise ValueError(f"the scene is of version {version}; this release reads version {VERSION}")
    row = msgspec.json.decode(line, type=_Row)
    depth = None
    if row.depth is not None:
        millimetres = _read_png(folder, row.depth, cv2.IMREAD_UNCHANGED)
        if millimetres.dtype != np.uint16:
            raise ValueError(f"the file {row.depth} is {millimetres.dtype}; depth is uint16 millimetres")
        depth = np.where(millimetres > 0, millimetres / np.float32(1000), np.float32(np.nan)).astype(np.float32)
    return Scene(
        row.id,
        np.asarray(
            cv2.cvtColor(_read_png(folder, row.image, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB),
            dtype=np.uint8,
        ),
        row.instruction,
        row.expected,
        tuple(decode_rle(rle) for rle in row.masks),
        row.source,
        row.category,
        depth,
        row.camera,
        row.previous,
    )


def _write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], again: bool) -> None:
    """Store it; what is there is replaced only where a run that was broken off is done `again`."""
    done, data = cv2.imencode(".png", pixels)
    if not done:
        raise ValueError(f"{path}: an array of {pixels.shape} {pixels.dtype} can't be stored as PNG")
    with path.open("wb" if again else "xb") as out:
        out.write(data.tobytes())


def _read_png(folder: Path, name: str, flags: int) -> NDArray[np.uint8]:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r} lies outside the folder of the scenes")
    if not path.is_file():
        raise ValueError(f"the file {name} is missing")
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24]) if data[:8] == PNG_SIGNATURE and len(data) > 24 else (0, 0)
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f"the file {name} is not a PNG of 1 to {MAX_PIXELS} pixels")
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    if pixels is None:
        raise ValueError(f"the file {name} is not an image that can be read")
    return np.asarray(pixels)
