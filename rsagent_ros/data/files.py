"""Images, masks and depth from files that somebody else made: limits first, and errors that name the file."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import MAX_PIXELS, Mask, decode_rle

MAX_FILE_BYTES = 200_000_000
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB. The orientation in its EXIF data is ignored, as the annotations were.

    Raises:
        ValueError: It is missing, empty, too large, or not an image.
    """
    pixels = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_mask(path: Path) -> Mask:
    """A mask file as (H, W) bool: one channel (or equal ones) of 8 bits, everything but 0 is inside.

    Raises:
        ValueError: As `read_image`, or it holds colours.
    """
    pixels = _decode(path, cv2.IMREAD_UNCHANGED)
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
    """A mask as our formats name it: COCO run lengths (compressed), or the name of a PNG relative to the folder.

    Raises:
        ValueError: Neither, or wrong.
    """
    return read_mask(inside(folder, value)) if isinstance(value, str) else decode_rle(value)


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


def _decode(path: Path, flags: int) -> NDArray[np.integer]:
    if not path.is_file():
        raise ValueError(f"the file {path} is missing")
    size = path.stat().st_size
    if not 0 < size <= MAX_FILE_BYTES:
        raise ValueError(f"the file {path} has {size} bytes; 1 to {MAX_FILE_BYTES} are read")
    data = path.read_bytes()
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
