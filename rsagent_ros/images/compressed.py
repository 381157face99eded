"""Pixels of compressed image messages (JPEG, PNG), checked before and after they are decoded."""

from __future__ import annotations

import re
import struct
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.image import ImageError

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.mask import MAX_PIXELS
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.images.raw import NO_BUFFER, PackedImage, convert_with_opencv, plain_buffer

CompressedImage: TypeAlias = Any
"""A sensor_msgs/CompressedImage, of rclpy or of rosbags: they have the same fields."""

_MOSAIC = re.compile(r"(bayer_(?:rggb|bggr|gbrg|grbg)(?:8|16))\s*;[^;]*compressed\s*(bayer_\w+)?\s*", re.IGNORECASE)
"""Formats that say that the picture inside is a Bayer mosaic: what was sent is one, and no other encoding is named."""

_NEXT_MARK = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A mark that ends the coded pixels of a JPEG: not a byte that was escaped, and not a restart (ITU-T T.81, B.1.1.2)."""


def compressed_to_rgb(message: CompressedImage) -> NDArray[np.uint8]:
    """Pixels of a JPEG or PNG as (H, W, 3) uint8 RGB, read-only.

    Args:
        message: What its `format` says of the picture is heeded: a Bayer mosaic is made a picture of.

    Raises:
        RunFailed: BAD_IMAGE, with the reason.
    """
    data = checked_data(message)
    mosaic = _MOSAIC.fullmatch(message.format)
    # The camera's calibration is of the sensor's rows and columns: an orientation tag must not turn them.
    upright = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = decoded(message, data, cv2.IMREAD_UNCHANGED if mosaic else upright)
    if mosaic and picture.ndim == 2:
        rgb = _demosaiced(message, picture, mosaic[1].lower())
    else:
        picture = picture if picture.dtype == np.uint8 else (picture >> 8).astype(np.uint8)
        rgb = np.asarray(cv2.cvtColor(picture[:, :, :3], cv2.COLOR_BGR2RGB), dtype=np.uint8)
    rgb.flags.writeable = False
    return rgb


def checked_data(message: CompressedImage, start: int = 0) -> bytes:
    """The bytes of a JPEG or PNG, from `start` on, whose size is bearable and whose end is there.

    Raises:
        RunFailed: BAD_IMAGE: they are not.
    """
    view = plain_buffer(message)
    if view is None:
        raise bad_compressed(message, NO_BUFFER.format(type(message.data).__name__))
    data = bytes(view[start:])
    size = _claimed_size(data)
    if size is None:
        raise bad_compressed(message, "it can't be decoded: it is no JPEG or PNG")
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        raise bad_compressed(message, f"it is {size[0]} x {size[1]}; allowed: 1 to {MAX_PIXELS} pixels")
    # OpenCV fills what was cut short with grey or black, and only prints a warning.
    name, ends = ("PNG", _ends_as_png) if data.startswith(b"\x89PNG") else ("JPEG", _ends_as_jpeg)
    if not ends(data):
        raise bad_compressed(message, f"the {name} is cut short")
    return data


def decoded(message: CompressedImage, data: bytes, flags: int) -> NDArray[Any]:
    """The picture in `checked_data`, as OpenCV decodes it with these flags.

    Raises:
        RunFailed: BAD_IMAGE: it can't be decoded.
    """
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise bad_compressed(message, str(error)) from error
    if picture is None:
        raise bad_compressed(message, "it can't be decoded")
    return np.asarray(picture)


def bad_compressed(message: CompressedImage, why: str) -> RunFailed:
    """A BAD_IMAGE failure about this message."""
    view = plain_buffer(message)
    about = f"compressed image of {'unknown' if view is None else len(view)} bytes, format {message.format!r}"
    return RunFailed(ErrorCode.BAD_IMAGE, f"{about}, frame {message.header.frame_id!r}: {why}")


def _demosaiced(message: CompressedImage, mosaic: NDArray[Any], encoding: str) -> NDArray[np.uint8]:
    bits = "16" if mosaic.dtype == np.uint16 else "8"
    try:
        pattern = encoding.removesuffix("16").removesuffix("8")
        return convert_with_opencv(PackedImage(pattern + bits, mosaic.shape[0], mosaic.shape[1], mosaic))
    except (ImageError, cv2.error) as error:
        raise bad_compressed(message, str(error)) from error


def _claimed_size(data: bytes) -> tuple[int, int] | None:
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


def _ends_as_jpeg(data: bytes) -> bool:
    """Whether a JPEG's end is there, mark by mark: in a buffer of fixed size anything may stand behind it."""
    at = 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        mark = data[at + 1]
        if mark == 0xD9:
            return True
        if mark == 0xFF:
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            return False
        at += 2 + length
        if mark == 0xDA:  # coded pixels follow, up to the next mark
            found = _NEXT_MARK.search(data, at)
            if found is None:
                return False
            at = found.start()
    return False


def _ends_as_png(data: bytes) -> bool:
    """Whether a PNG's end is there, chunk by chunk."""
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False
