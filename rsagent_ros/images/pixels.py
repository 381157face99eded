"""Pixels of image messages: (H, W, 3) RGB, depth in metres, masks; of live messages and of those in a bag alike.

Every encoding that rosbags-image knows is read, padded rows and either byte order included:

- rgb8 bgr8 rgba8 bgra8 mono8, the same with 16 bits, bayer_*8 and bayer_*16, uyvy yuyv yuv422 yuv422_yuy2;
- nv12 and nv21, with or without the colour rows counted in `height`;
- OpenCV's own: 8UC1, 8UC3, 8UC4 and 16UC1... are read as mono, bgr, bgra; 32F and 64F as 0..1.

16 bits become 8 over the full range (65535 is white); an alpha channel is dropped. A message that can't be read raises
BAD_IMAGE with the reason; nothing is guessed.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.image import ImageError, message_to_cvimage

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.mask import MAX_PIXELS, Mask
from rsagent_ros.agent.outcome import ErrorCode

Image: TypeAlias = Any
"""A sensor_msgs/Image, of rclpy or of rosbags: they have the same fields."""

CompressedImage: TypeAlias = Any
"""A sensor_msgs/CompressedImage, likewise."""

_LAYOUTS: dict[str, tuple[str, int]] = {
    "mono8": ("u1", 1), "rgb8": ("u1", 3), "bgr8": ("u1", 3), "rgba8": ("u1", 4), "bgra8": ("u1", 4),
    "mono16": ("u2", 1), "rgb16": ("u2", 3), "bgr16": ("u2", 3), "rgba16": ("u2", 4), "bgra16": ("u2", 4),
    "bayer_rggb8": ("u1", 1), "bayer_bggr8": ("u1", 1), "bayer_gbrg8": ("u1", 1), "bayer_grbg8": ("u1", 1),
    "bayer_rggb16": ("u2", 1), "bayer_bggr16": ("u2", 1), "bayer_gbrg16": ("u2", 1), "bayer_grbg16": ("u2", 1),
    "uyvy": ("u1", 2), "yuv422": ("u1", 2), "yuyv": ("u1", 2), "yuv422_yuy2": ("u1", 2),
    "nv12": ("u1", 1), "nv21": ("u1", 1),
}  # fmt: skip
"""Type and channels of one pixel, by encoding."""

_GENERIC = re.compile(r"(8U|16U|32F|64F)C?([134])?")
_GENERIC_TYPES = {"8U": "u1", "16U": "u2", "32F": "f4", "64F": "f8"}
_GENERIC_COLOURS = {1: "mono", 3: "bgr", 4: "bgra"}


@dataclass(frozen=True)
class Tight:
    """What rosbags-image reads of a message, with neither padding nor foreign byte order."""

    encoding: str
    height: int
    width: int
    data: NDArray[Any]
    is_bigendian: bool = sys.byteorder == "big"


def by_opencv(tight: Tight) -> NDArray[np.uint8]:
    """The picture as (H, W, 3) RGB.

    Raises:
        ImageError, cv2.error: It can't be converted.
    """
    return np.asarray(message_to_cvimage(tight, "rgb8"), dtype=np.uint8)  # type: ignore[arg-type]  # reads these five


def raw_to_rgb(message: Image, convert: Callable[[Tight], NDArray[np.uint8]] = by_opencv) -> NDArray[np.uint8]:
    """The picture as (H, W, 3) uint8 RGB, read-only; rgb8 without padding is not copied.

    Raises:
        RunFailed: BAD_IMAGE, with the reason.
    """
    pixels, encoding = _pixels(message), message.encoding
    if generic := _GENERIC.fullmatch(encoding):
        depth, channels = generic[1], int(generic[2] or 1)
        if depth in ("32F", "64F"):
            pixels, depth = (np.nan_to_num(pixels, nan=0.0).clip(0, 1) * 255).astype(np.uint8), "8U"
        encoding = _GENERIC_COLOURS[channels] + depth.rstrip("U")
    if encoding == "rgb8":
        rgb = np.ascontiguousarray(pixels)
    else:
        try:
            rgb = convert(Tight(encoding, pixels.shape[0], pixels.shape[1], np.ascontiguousarray(pixels)))
        except (ImageError, cv2.error) as error:
            raise _bad(message, str(error)) from error
    rgb.flags.writeable = False
    return rgb


def to_depth(message: Image) -> NDArray[np.float32]:
    """Depth as (H, W) float32 metres; NaN where the sensor saw nothing (0 or not finite).

    Raises:
        RunFailed: BAD_IMAGE: neither 32FC1 (metres) nor 16UC1 (millimetres), or broken.
    """
    if message.encoding not in ("32FC1", "16UC1", "mono16"):
        raise _bad(message, "a depth image is 32FC1 (metres) or 16UC1 (millimetres)")
    pixels = _pixels(message)
    depth = pixels.astype(np.float32) / np.float32(1 if message.encoding == "32FC1" else 1000)
    depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    return depth


def to_mask(message: Image) -> Mask:
    """A mono8 mask as (H, W) bool: everything from 128 up is inside.

    Raises:
        RunFailed: BAD_IMAGE: not mono8 or 8UC1, or broken.
    """
    if message.encoding not in ("mono8", "8UC1"):
        raise _bad(message, "a mask is mono8, 0 or 255")
    return np.asarray(_pixels(message) >= 128)


def _pixels(message: Image) -> NDArray[Any]:
    """A (rows, width) or (rows, width, channels) view of the data, in the machine's byte order, without padding.

    Raises:
        RunFailed: BAD_IMAGE: size, step or data do not go together, or the encoding is not known.
    """
    generic = _GENERIC.fullmatch(message.encoding)
    if generic is None and message.encoding not in _LAYOUTS:
        raise _bad(message, f"the encoding {message.encoding!r} can't be converted; rgb8, bgr8 and mono8 always can")
    kind, channels = (
        (_GENERIC_TYPES[generic[1]], int(generic[2] or 1)) if generic is not None else _LAYOUTS[message.encoding]
    )
    rows, width, step, held = message.height, message.width, message.step, len(message.data)
    if not (rows > 0 and width > 0 and rows * width <= MAX_PIXELS):
        raise _bad(message, f"1 to {MAX_PIXELS} pixels are needed")
    if message.encoding in ("nv12", "nv21") and held >= step * (rows + rows // 2):
        rows += rows // 2  # half as many rows of colour follow; some drivers count them in the height
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    row = width * channels * dtype.itemsize
    if step < row:
        raise _bad(message, f"step is {step} bytes, but a row of {width} pixels has {row}")
    if held < step * (rows - 1) + row:
        raise _bad(message, f"{step * (rows - 1) + row} bytes are needed, data has {held}")
    pixels: NDArray[Any] = np.ndarray(
        (rows, width, channels),
        dtype,
        memoryview(message.data),
        strides=(step, channels * dtype.itemsize, dtype.itemsize),
    )
    if channels == 1:
        pixels = pixels[:, :, 0]
    return pixels.astype(dtype.newbyteorder("="), copy=False)


def compressed_to_rgb(message: CompressedImage) -> NDArray[np.uint8]:
    """The picture of a JPEG or PNG as (H, W, 3) uint8 RGB, read-only.

    Raises:
        RunFailed: BAD_IMAGE, with the reason.
    """
    data = np.frombuffer(message.data, np.uint8)
    size = _claimed(data.tobytes())
    if size is None:
        raise _bad_compressed(message, "it can't be decoded: it is no JPEG or PNG")
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        raise _bad_compressed(message, f"it is {size[0]} x {size[1]}; allowed: 1 to {MAX_PIXELS} pixels")
    # The camera's calibration is of the sensor's rows and columns: an orientation tag must not turn them.
    picture = None
    try:
        if data.size:
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise _bad_compressed(message, str(error)) from error
    if picture is None:
        raise _bad_compressed(message, "it can't be decoded")
    # OpenCV fills what was cut short with grey or black, and only prints a warning.
    if data[:2].tobytes() == b"\xff\xd8" and b"\xff\xd9" not in data[data.size // 2 :].tobytes():
        raise _bad_compressed(message, "the JPEG is cut short")
    if data[:4].tobytes() == b"\x89PNG" and b"IEND" not in data[data.size // 2 :].tobytes():
        raise _bad_compressed(message, "the PNG is cut short")
    rgb = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    rgb.flags.writeable = False
    return rgb


def _claimed(data: bytes) -> tuple[int, int] | None:
    """Width and height as a JPEG or PNG claims them, before anything is decoded: a few bytes may claim gigabytes."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 <= len(data) and data[at] == 0xFF:
        mark = data[at + 1]
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):  # a frame's header: ITU-T T.81, table B.1
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 1 if mark == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")  # a byte that fills, or a segment
    return None


def _bad(message: Image, why: str) -> RunFailed:
    about = f"image of {message.width} x {message.height} pixels, encoding {message.encoding!r}"
    return RunFailed(ErrorCode.BAD_IMAGE, f"{about}, frame {message.header.frame_id!r}: {why}")


def _bad_compressed(message: CompressedImage, why: str) -> RunFailed:
    about = f"compressed image of {len(message.data)} bytes, format {message.format!r}"
    return RunFailed(ErrorCode.BAD_IMAGE, f"{about}, frame {message.header.frame_id!r}: {why}")
