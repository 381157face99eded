"""Depth as image_transport's `compressedDepth` sends it: a header, and behind it a PNG or RVL code.

The header holds two numbers of an inverse scale, for depth that was in metres: 16 bits then hold `a / metres + b`.
Depth that was in millimetres is there as it is. RVL is Wilson's code (Fast Lossless Depth Image Compression, ISS 2017):
runs of zeros and of differences, three bits in a group of four.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import MAX_PIXELS
from rsagent_ros.images.compressed import CompressedImage, bad_compressed, checked_data, decoded
from rsagent_ros.images.raw import NO_BUFFER, plain_buffer

_HEADER = struct.Struct("<Iff")
_SIZE = struct.Struct("<II")
_PNG = b"\x89PNG"
_MOST_GROUPS = 11
"""Groups of three bits of a number of 32."""


def compressed_depth_in_metres(message: CompressedImage) -> NDArray[np.float32]:
    """Depth of a CompressedImage as (H, W) float32 metres; NaN where nothing was measured.

    Args:
        message: Of a topic `.../compressedDepth`; or a PNG of 16 bits, in millimetres, as `.../compressed` has.

    Raises:
        RunFailed: BAD_IMAGE: it is neither, or broken.
    """
    view = plain_buffer(message)
    if view is None:
        raise bad_compressed(message, NO_BUFFER.format(type(message.data).__name__))
    encoding, _, method = (part.strip() for part in message.format.partition(";"))
    if encoding not in ("16UC1", "mono16", "32FC1"):
        raise bad_compressed(message, "a compressed depth image is 16UC1 or 32FC1; its format says so")
    if "compressedDepth" not in method:
        if encoding == "32FC1":
            raise bad_compressed(message, "depth in metres can't be had from a plain PNG; use compressedDepth")
        return _millimetres(_png(message, 0))
    if len(view) < _HEADER.size:
        raise bad_compressed(message, f"it has no room for the header of {_HEADER.size} bytes")
    _, a, b = _HEADER.unpack_from(view)
    code = bytes(view[_HEADER.size :])
    stored = _png(message, _HEADER.size) if code.startswith(_PNG) else _rvl(message, code)
    if encoding != "32FC1":
        return _millimetres(stored)
    if not (np.isfinite((a, b)).all() and a > 0):
        raise bad_compressed(message, f"the scale in its header is {a:g} and {b:g}; it must be over 0, and finite")
    with np.errstate(divide="ignore", invalid="ignore"):
        metres = np.float32(a) / (stored.astype(np.float32) - np.float32(b))
    metres[(stored == 0) | ~np.isfinite(metres) | (metres <= 0)] = np.nan
    return np.asarray(metres, dtype=np.float32)


def _millimetres(stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    return np.where(stored > 0, stored / np.float32(1000), np.float32(np.nan)).astype(np.float32)


def _png(message: CompressedImage, start: int) -> NDArray[np.uint16]:
    picture = decoded(message, checked_data(message, start), cv2.IMREAD_UNCHANGED)
    if picture.dtype != np.uint16 or picture.ndim != 2:
        raise bad_compressed(message, f"the picture in it is {picture.dtype}; depth has 16 bits in one channel")
    return picture


def _rvl(message: CompressedImage, code: bytes) -> NDArray[np.uint16]:
    """(H, W) of RVL code behind its width and height.

    Raises:
        RunFailed: BAD_IMAGE: it is none, or cut short.
    """
    if "png" in message.format or len(code) < _SIZE.size:
        raise bad_compressed(message, "behind its header is neither a PNG nor RVL code")
    width, height = _SIZE.unpack_from(code)
    if not 0 < width * height <= MAX_PIXELS:
        raise bad_compressed(message, f"it is {width} x {height}; allowed: 1 to {MAX_PIXELS} pixels")
    numbers = _numbers(code[_SIZE.size :])
    depth = np.zeros(width * height, np.uint16)
    at = place = 0
    runs: list[NDArray[Any]] = []
    places: list[NDArray[Any]] = []
    while place < depth.size:
        if at + 2 > len(numbers):
            raise bad_compressed(message, f"its RVL code is cut short, after {place} of {depth.size} pixels")
        zeros, count = int(numbers[at]), int(numbers[at + 1])
        place, at = place + zeros, at + 2
        if place + count > depth.size or at + count > len(numbers):
            raise bad_compressed(message, f"its RVL code is damaged or cut short, at pixel {place} of {depth.size}")
        runs.append(numbers[at : at + count])
        places.append(np.arange(place, place + count))
        place, at = place + count, at + count
    coded = np.concatenate(runs) if runs else np.zeros(0, np.int64)
    values = np.cumsum((coded >> 1) ^ -(coded & 1))  # each is the difference to the last that was not zero
    if values.size and not (values.min() >= 0 and values.max() <= 65_535):
        raise bad_compressed(message, "its RVL code is damaged: it holds depths that 16 bits do not")
    depth[np.concatenate(places) if places else []] = values
    return depth.reshape(height, width)


def _numbers(code: bytes) -> NDArray[np.int64]:
    """The numbers in RVL code: groups of three bits, lowest first, each behind a bit that says whether more follow."""
    words = np.frombuffer(code[: len(code) // 4 * 4], "<u4").byteswap().view(np.uint8)
    groups = np.stack([words >> 4, words & 15], axis=1).reshape(-1)
    ends = np.flatnonzero(groups < 8)
    if not ends.size:
        return np.zeros(0, np.int64)
    groups = groups[: ends[-1] + 1]
    starts = np.concatenate([[0], ends[:-1] + 1])
    number = np.repeat(np.arange(ends.size), ends - starts + 1)
    shifts = np.minimum(np.arange(groups.size) - starts[number], _MOST_GROUPS) * 3
    return np.asarray(np.add.reduceat((groups & 7).astype(np.int64) << shifts, starts))
