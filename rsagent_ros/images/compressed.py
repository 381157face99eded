"""Pixels of compressed image messages (JPEG, PNG), checked before and after they are decoded."""

from __future__ import annotations

import struct
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.mask import MAX_PIXELS
from rsagent_ros.agent.outcome import ErrorCode

CompressedImage: TypeAlias = Any
"""A sensor_msgs/CompressedImage, of rclpy or of rosbags: they have the same fields."""


def compressed_to_rgb(message: CompressedImage) -> NDArray[np.uint8]:
    """Pixels of a JPEG or PNG as (H, W, 3) uint8 RGB, read-only.

    Raises:
        RunFailed: BAD_IMAGE, with the reason.
    """
    data = np.frombuffer(message.data, np.uint8)
    size = _claimed_size(data.tobytes())
    if size is None:
        raise _bad_image(message, "it can't be decoded: it is no JPEG or PNG")
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        raise _bad_image(message, f"it is {size[0]} x {size[1]}; allowed: 1 to {MAX_PIXELS} pixels")
    # The camera's calibration is of the sensor's rows and columns: an orientation tag must not turn them.
    picture = None
    try:
        if data.size:
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise _bad_image(message, str(error)) from error
    if picture is None:
        raise _bad_image(message, "it can't be decoded")
    # OpenCV fills what was cut short with grey or black, and only prints a warning.
    if data[:2].tobytes() == b"\xff\xd8" and b"\xff\xd9" not in data[data.size // 2 :].tobytes():
        raise _bad_image(message, "the JPEG is cut short")
    if data[:4].tobytes() == b"\x89PNG" and b"IEND" not in data[data.size // 2 :].tobytes():
        raise _bad_image(message, "the PNG is cut short")
    rgb = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    rgb.flags.writeable = False
    return rgb


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


def _bad_image(message: CompressedImage, why: str) -> RunFailed:
    about = f"compressed image of {len(message.data)} bytes, format {message.format!r}"
    return RunFailed(ErrorCode.BAD_IMAGE, f"{about}, frame {message.header.frame_id!r}: {why}")
