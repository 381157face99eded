"""Images, masks and depth from files that somebody else made: limits first, and errors that name the file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import MAX_PIXELS, Mask, decode_rle

MAX_FILE_BYTES = 200_000_000
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_PALETTE = 3
"""Colour type of a PNG whose pixels are indices."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB. The orientation in its EXIF data is ignored, as the annotations were.

    Raises:
        ValueError: It is missing, empty, too large, or not an image.
    """
    pixels = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def png_shape(path: Path) -> tuple[int, int]:
    """Height and width in pixels of a PNG, from its first bytes; its last ones tell whether it was cut short.

    Raises:
        ValueError: It is missing, cut short, or no PNG.
    """
    try:
        with path.open("rb") as file:
            head = file.read(24)
            file.seek(max(0, path.stat().st_size - 12))
            end = file.read(12)
    except FileNotFoundError:
        raise ValueError(f"the file {path} is missing") from None
    if head[:8] != PNG_SIGNATURE or head[12:16] != b"IHDR" or end[4:8] != b"IEND":
        raise ValueError(f"the file {path} is cut short, or no PNG")
    width, height = struct.unpack(">II", head[16:24])
    return height, width


def read_mask(path: Path) -> Mask:
    """A mask file as (H, W) bool: one channel (or equal ones) of 8 bits, everything but 0 is inside.

    Of a PNG with a palette the indices count, whatever their colours.

    Raises:
        ValueError: As `read_image`; or it holds colours, is a JPEG, or is transparent elsewhere than it is 0.
    """
    data = _read(path)
    if data.startswith(_JPEG_SIGNATURE):
        raise ValueError(f"the mask {path.name} is a JPEG, which changes pixels along edges; save it as PNG")
    pixels = _decode(path, cv2.IMREAD_UNCHANGED, _indices_as_grey(data))
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        opaque, marked = pixels[:, :, 3] > 0, (pixels[:, :, :3] > 0).any(axis=2)
        if not (pixels[:, :, 3] == 255).all() and (opaque != marked).any():
            raise ValueError(f"the mask {path.name} has a transparent part; save it without, 0 outside and 255 inside")
    if pixels.ndim == 3:
        colours = pixels[:, :, :3]
        if (colours != colours[:, :, :1]).any():
            raise ValueError(f"the mask {path.name} holds colours; a mask is one channel, 0 outside and 255 inside")
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8:
        raise ValueError(f"the mask {path.name} is {pixels.dtype}; a mask has 8 bits a pixel")
    return np.asarray(pixels > 0)


def inside(folder: Path, name: str) -> Path:
    """The path of a file that a dataset names relative to its folder.

    Raises:
        ValueError: It leads out of the folder.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r} lies outside of {folder}")
    return path


def load_mask(value: object, folder: Path) -> Mask:
    """A mask as our formats name it: COCO run lengths, or the name of a PNG relative to the folder.

    Raises:
        ValueError: Neither, or wrong.
    """
    return read_mask(inside(folder, value)) if isinstance(value, str) else decode_runs(value)


def decode_runs(value: object) -> Mask:
    """The (H, W) bool mask of COCO run lengths, compressed (text) or not (a list of counts).

    Raises:
        ValueError: They are neither, over the limits, or do not add up to their size.
    """
    if not (isinstance(value, Mapping) and "size" in value and "counts" in value):
        raise ValueError('run lengths are an object with "size": [height, width] and "counts"')
    size, counts = value["size"], value["counts"]
    if isinstance(size, Sequence) and not isinstance(size, str):
        size = [int(side) if isinstance(side, float) and side.is_integer() else side for side in size]
    if not isinstance(counts, list):
        return decode_rle({"size": size, "counts": counts})
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
        raise ValueError(f"the size of run lengths is {value['size']!r}; it must be [height, width]")
    height, width = size
    if height * width > MAX_PIXELS:
        raise ValueError(f"run lengths of {width} x {height} pixels are over the limit of {MAX_PIXELS}")
    if not all(type(run) is int and run >= 0 for run in counts) or sum(counts) != height * width:
        raise ValueError(f"the counts of run lengths do not add up to their size of {width} x {height} pixels")
    # Runs alternate, column by column, beginning outside.
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def read_depth(path: Path) -> NDArray[np.float32]:
    """A depth file, a PNG of 16 bits that holds millimetres, as (H, W) float32 metres; NaN where it holds 0.

    Raises:
        ValueError: As `read_image`, or it is another kind of image.
    """
    millimetres = _decode(path, cv2.IMREAD_UNCHANGED)
    if millimetres.dtype != np.uint16 or millimetres.ndim != 2:
        kind = f"{millimetres.dtype} with {1 if millimetres.ndim == 2 else millimetres.shape[2]} channels"
        raise ValueError(f"the depth image {path.name} is {kind}; depth is uint16 millimetres in one channel")
    return np.where(millimetres > 0, millimetres / np.float32(1000), np.float32(np.nan)).astype(np.float32)


def depth_remarks(depth: NDArray[np.floating] | None) -> tuple[str, ...]:
    """Remarks about a (H, W) depth image in metres: unknown pixels are normal, nothing but them is not."""
    if depth is None or (np.isfinite(depth) & (depth > 0)).any():
        return ()
    return ("its depth image holds nothing but NaN, infinity or 0: no position in space can be had",)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"the file {path} is missing")
    size = path.stat().st_size
    if not 0 < size <= MAX_FILE_BYTES:
        raise ValueError(f"the file {path} has {size} bytes; 1 to {MAX_FILE_BYTES} are read")
    return path.read_bytes()


def _indices_as_grey(data: bytes) -> bytes:
    """A PNG with a palette as one of grey levels, so that a decoder gives its indices; any other data as it is."""
    if not data.startswith(PNG_SIGNATURE) or len(data) < 33 or data[25] != _PALETTE:
        return data
    header = b"IHDR" + data[16:25] + b"\0" + data[26:29]
    parts = [PNG_SIGNATURE, struct.pack(">I", 13), header, struct.pack(">I", zlib.crc32(header))]
    at = 33
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in (b"PLTE", b"tRNS", b"bKGD", b"hIST"):
            parts.append(data[at:end])
        at = end
    return b"".join(parts)


def _decode(path: Path, flags: int, data: bytes | None = None) -> NDArray[np.integer]:
    """The pixels of a file, or of its content where that is given."""
    data = _read(path) if data is None else data
    if data[:8] == PNG_SIGNATURE and len(data) > 24:
        width, height = struct.unpack(">II", data[16:24])
        if width * height > MAX_PIXELS:
            raise ValueError(f"the file {path} is {width} x {height} pixels; at most {MAX_PIXELS} are read")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:  # what OpenCV's own limit on pixels raises
        raise ValueError(f"the file {path} can't be decoded ({error.err})") from error
    if pixels is None:
        raise ValueError(f"the file {path} is not an image that can be read")
    if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise ValueError(f"the file {path} has over {MAX_PIXELS} pixels")
    return np.asarray(pixels)
