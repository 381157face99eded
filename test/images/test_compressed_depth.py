"""compressedDepth: PNG and RVL behind their header give back what was sent; what is broken is BAD_IMAGE."""

from __future__ import annotations

import struct
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.images import to_depth

Depth = NDArray[np.uint16]
HEADER = struct.pack("<Iff", 0, 0.0, 0.0)


def message(data: bytes, form: str) -> Any:
    return SimpleNamespace(header=SimpleNamespace(frame_id="depth"), format=form, data=np.frombuffer(data, np.uint8))


def png(stored: NDArray[Any]) -> bytes:
    return cv2.imencode(".png", stored)[1].tobytes()


def rvl(stored: Depth) -> bytes:
    """As Wilson's paper has it, pixel by pixel, behind width and height."""
    groups: list[int] = []

    def put(number: int) -> None:
        while True:
            group, number = number & 7, number >> 3
            groups.append(group | 8 if number else group)
            if not number:
                return

    flat = stored.reshape(-1).tolist()
    at = previous = 0
    while at < len(flat):
        zeros = next((n for n, value in enumerate(flat[at:]) if value), len(flat) - at)
        count = next((n for n, value in enumerate(flat[at + zeros :]) if not value), len(flat) - at - zeros)
        put(zeros)
        put(count)
        for value in flat[at + zeros : at + zeros + count]:
            delta = value - previous
            put((delta << 1) ^ (delta >> 63))
            previous = value
        at += zeros + count
    groups += [0] * (-len(groups) % 8)
    words = [
        sum(group << 4 * (7 - place) for place, group in enumerate(groups[n : n + 8])) for n in range(0, len(groups), 8)
    ]
    return struct.pack("<II", stored.shape[1], stored.shape[0]) + struct.pack(f"<{len(words)}I", *words)


def refused(data: bytes, form: str) -> str:
    with pytest.raises(RunFailed) as caught:
        to_depth(message(data, form))
    assert caught.value.code is ErrorCode.BAD_IMAGE
    return caught.value.message


def scene() -> Depth:
    rows, columns = np.mgrid[0:48, 0:64]
    stored = (700 + 3 * columns + 11 * rows).astype(np.uint16)
    stored[10:20, 30:50] = 0
    stored[:, :5] = 0
    stored[25:30, 40:44] = 65_535
    return stored


MILLIMETRES = np.where(scene() > 0, scene() / np.float32(1000), np.float32(np.nan)).astype(np.float32)
CODES = {"png": png, "rvl": rvl}


@pytest.mark.parametrize(
    ("code", "form"),
    [
        ("png", "16UC1; compressedDepth"),
        ("png", "16UC1; compressedDepth png"),
        ("png", "mono16; compressedDepth png"),
        ("rvl", "16UC1; compressedDepth rvl"),
        ("rvl", "16UC1;compressedDepth rvl "),
    ],
)
def test_millimetres_come_back_to_the_bit(code: str, form: str) -> None:
    np.testing.assert_array_equal(to_depth(message(HEADER + CODES[code](scene()), form)), MILLIMETRES)


@pytest.mark.parametrize("code", CODES)
def test_metres_come_back_by_the_scale_of_the_header(code: str) -> None:
    metres = np.linspace(0.3, 9.0, 48 * 64, dtype=np.float32).reshape(48, 64)
    metres[5:9] = np.nan
    a = np.float32(100.0 * 101.0)
    b = np.float32(1.0) - a / np.float32(10.0)
    stored = np.where(np.isnan(metres), 0, a / metres + b).astype(np.uint16)
    depth = to_depth(message(struct.pack("<Iff", 1, a, b) + CODES[code](stored), f"32FC1; compressedDepth {code}"))
    assert np.array_equal(np.isnan(depth), np.isnan(metres))
    known = ~np.isnan(metres)
    # One step of 16 bits at distance z is z * z / a metres.
    assert np.all(np.abs(depth - metres)[known] <= 1.01 * metres[known] ** 2 / a)


@given(st.data())
def test_rvl_gives_back_any_depth(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    value = st.sampled_from([0, 0, 1, 7, 8, 999, 1000, 1001, 65_535])
    flat = data.draw(st.lists(value, min_size=height * width, max_size=height * width))
    stored = np.array(flat, np.uint16).reshape(height, width)
    depth = to_depth(message(HEADER + rvl(stored), "16UC1; compressedDepth rvl"))
    np.testing.assert_array_equal(np.nan_to_num(depth * 1000).round().astype(np.uint16), stored)


def test_a_plain_png_of_16_bits_is_millimetres() -> None:
    np.testing.assert_array_equal(to_depth(message(png(scene()), "16UC1; png compressed ")), MILLIMETRES)


@given(st.data())
def test_rvl_that_is_damaged_is_depth_or_refused(data: st.DataObject) -> None:
    code = bytearray(rvl(scene()))
    for _ in range(data.draw(st.integers(1, 3))):
        code[data.draw(st.integers(0, len(code) - 1))] = data.draw(st.integers(0, 255))
    code = code[: data.draw(st.integers(0, len(code)))]
    with suppress(RunFailed):
        depth = to_depth(message(HEADER + bytes(code), "16UC1; compressedDepth rvl"))
        assert depth.dtype == np.float32


@pytest.mark.parametrize(
    ("data", "form", "told"),
    [
        (HEADER + png(scene()), "bgr8; jpeg compressed bgr8", "16UC1 or 32FC1"),
        (HEADER + png(scene()), "png", "16UC1 or 32FC1"),
        (b"", "16UC1; compressedDepth png", "header"),
        (HEADER[:7], "16UC1; compressedDepth rvl", "header"),
        (HEADER, "16UC1; compressedDepth png", "neither a PNG nor RVL"),
        (HEADER, "16UC1; compressedDepth rvl", "neither a PNG nor RVL"),
        (HEADER + b"nonsense" * 9, "16UC1; compressedDepth png", "neither a PNG nor RVL"),
        (HEADER + png(scene())[:-40], "16UC1; compressedDepth png", "cut short"),
        (HEADER + rvl(scene())[:-9], "16UC1; compressedDepth rvl", "cut short"),
        (HEADER + struct.pack("<II", 60_000, 60_000), "16UC1; compressedDepth rvl", "60000 x 60000"),
        (HEADER + png(scene().astype(np.uint8)), "16UC1; compressedDepth png", "16 bits in one channel"),
        (HEADER + png(scene()), "32FC1; compressedDepth png", "scale"),
        (struct.pack("<Iff", 1, np.nan, 0) + png(scene()), "32FC1; compressedDepth png", "scale"),
        (png(scene()), "32FC1; png compressed ", "compressedDepth"),
    ],
)
def test_what_is_no_depth_is_told(data: bytes, form: str, told: str) -> None:
    assert told in refused(data, form)
