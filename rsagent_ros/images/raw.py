"""Pixels of raw image messages as arrays: colour, masks, and plain rows for `depth`.

Every encoding that rosbags-image knows is read, with padded rows and either byte order:

- rgb8 bgr8 rgba8 bgra8 mono8, the same with 16 bits, bayer_*8 and bayer_*16, uyvy yuyv yuv422 yuv422_yuy2;
- nv12 and nv21, with or without the colour rows counted in `height`;
- OpenCV's own: 8UC1, 8UC3, 8UC4 and 16UC1... are read as mono, bgr, bgra; 32F and 64F as 0..1.

16 bits become 8 over the full range (65535 is white); an alpha channel is dropped. A message that can't be read raises
BAD_IMAGE with the reason; nothing is guessed.
"""

from __future__ import annotations

import re
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
class PackedImage:
    """Fields of an Image that rosbags-image and cv_bridge read, without padding and in the machine's byte order."""

    encoding: str
    height: int
    width: int
    data: NDArray[Any]
    is_bigendian: bool = sys.byteorder == "big"


def convert_with_opencv(image: PackedImage) -> NDArray[np.uint8]:
    """Convert to (H, W, 3) uint8 RGB through rosbags-image.

    Raises:
        ImageError, cv2.error: It can't be converted.
    """
    return np.asarray(message_to_cvimage(image, "rgb8"), dtype=np.uint8)  # type: ignore[arg-type]  # reads these five


def raw_to_rgb(
    message: Image, convert: Callable[[PackedImage], NDArray[np.uint8]] = convert_with_opencv
) -> NDArray[np.uint8]:
    """Pixels of an Image as (H, W, 3) uint8 RGB, read-only; rgb8 without padding is not copied.

    Args:
        message: A sensor_msgs/Image.
        convert: Colour conversion of everything that is not rgb8; may raise ImageError or cv2.error.

    Raises:
        RunFailed: BAD_IMAGE, with the reason.
    """
    pixels, encoding = message_array(message), message.encoding
    if generic := _GENERIC.fullmatch(encoding):
        depth, channels = generic[1], int(generic[2] or 1)
        if depth in ("32F", "64F"):
            pixels, depth = (np.nan_to_num(pixels, nan=0.0).clip(0, 1) * 255).astype(np.uint8), "8U"
        encoding = _GENERIC_COLOURS[channels] + depth.rstrip("U")
    if encoding == "rgb8":
        rgb = np.ascontiguousarray(pixels)
    else:
        try:
            rgb = convert(PackedImage(encoding, pixels.shape[0], pixels.shape[1], np.ascontiguousarray(pixels)))
        except (ImageError, cv2.error) as error:
            raise bad_image(message, str(error)) from error
    rgb.flags.writeable = False
    return rgb


def to_mask(message: Image) -> Mask:
    """Pixels of a mono8 mask as (H, W) bool.

    Of two values 0 is outside and the other inside, whichever it is; of more, as where edges are soft, those from 128
    up are inside.

    Raises:
        RunFailed: BAD_IMAGE: not mono8 or 8UC1, broken, or with several values that are all below 128: it is not known
            which of them are inside.
    """
    if message.encoding not in ("mono8", "8UC1"):
        raise bad_image(message, "a mask is mono8, 0 or 255")
    pixels = message_array(message)
    inside = pixels > 0
    marks = np.unique(pixels[inside])
    if marks.size <= 1:
        return np.asarray(inside)
    if marks[-1] < 128:
        values = ", ".join(map(str, marks[:4])) + (", ..." if marks.size > 4 else "")
        raise bad_image(message, f"a mask is 0 outside and 255 inside, and this one marks pixels with {values}")
    return np.asarray(pixels >= 128)


def message_array(message: Image) -> NDArray[Any]:
    """Pixels as they are: (rows, width) or (rows, width, channels), in the machine's byte order, without padding.

    Raises:
        RunFailed: BAD_IMAGE: size, step and data do not match, or the encoding is not known.
    """
    generic = _GENERIC.fullmatch(message.encoding)
    if generic is None and message.encoding not in _LAYOUTS:
        raise bad_image(
            message, f"the encoding {message.encoding!r} can't be converted; rgb8, bgr8 and mono8 always can"
        )
    kind, channels = (
        (_GENERIC_TYPES[generic[1]], int(generic[2] or 1)) if generic is not None else _LAYOUTS[message.encoding]
    )
    data = plain_buffer(message)
    if data is None:
        raise bad_image(message, NO_BUFFER.format(type(message.data).__name__))
    rows, width, step, held = message.height, message.width, message.step, len(data)
    if not (rows > 0 and width > 0 and rows * width <= MAX_PIXELS):
        raise bad_image(message, f"1 to {MAX_PIXELS} pixels are needed")
    if message.encoding in ("nv12", "nv21"):
        rows = _rows_of_nv(message, held)
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    row = width * channels * dtype.itemsize
    if step < row:
        raise bad_image(message, f"step is {step} bytes, but a row of {width} pixels has {row}")
    if held < step * (rows - 1) + row:
        raise bad_image(message, f"{step * (rows - 1) + row} bytes are needed, data has {held}")
    pixels: NDArray[Any] = np.ndarray(
        (rows, width, channels),
        dtype,
        data,
        strides=(step, channels * dtype.itemsize, dtype.itemsize),
    )
    if channels == 1:
        pixels = pixels[:, :, 0]
    return pixels.astype(dtype.newbyteorder("="), copy=False)


def _rows_of_nv(message: Image, held: int) -> int:
    """Rows of an nv12 or nv21 image and of its colours, of which there are half as many below it."""
    rows, width, step = message.height, message.width, message.step
    if held >= step * (rows + rows // 2):
        return int(rows + rows // 2)
    # Some drivers count the rows of colours in the height. One that says two bytes a pixel means something else by
    # its step, and which rows its buffer holds can't be known.
    if rows % 3 == 0 and held == step * rows and step < 2 * width:
        return int(rows)
    raise bad_image(
        message,
        f"{step * (rows + rows // 2)} bytes are needed with a step of {step}, data has {held}; publish rows of {width} "
        "bytes, with half as many rows of colours below",
    )


def plain_buffer(message: Any) -> memoryview | None:
    """The bytes of a message's data; None where it is no plain buffer of them, as with some newer releases of ROS."""
    try:
        view = memoryview(message.data)
        return view.cast("B") if view.contiguous and view.itemsize == 1 else None
    except TypeError:
        return None


NO_BUFFER = "its data is a {}, which is no plain buffer; use a release of ROS whose images hold their bytes in memory"


def bad_image(message: Image, why: str) -> RunFailed:
    """A BAD_IMAGE failure about this message."""
    about = f"image of {message.width} x {message.height} pixels, encoding {message.encoding!r}"
    return RunFailed(ErrorCode.BAD_IMAGE, f"{about}, frame {message.header.frame_id!r}: {why}")
