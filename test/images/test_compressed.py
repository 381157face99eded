"""Compressed images as cameras and image_transport send them: the right picture, or BAD_IMAGE, nothing in between."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from bags import HEIGHT, WIDTH, discs
from numpy.typing import NDArray

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.images import compressed_to_rgb

RED = (210, 40, 40)


def message(data: object, form: str = "jpeg") -> Any:
    return SimpleNamespace(header=SimpleNamespace(frame_id="camera"), format=form, data=data)


def encoded(pixels: NDArray[Any], suffix: str, *options: int) -> bytes:
    pixels = pixels[:, :, ::-1] if pixels.ndim == 3 else pixels
    return cv2.imencode(suffix, pixels, [*options])[1].tobytes()


def shows_the_red_disc(rgb: NDArray[np.uint8], tolerance: int = 12) -> bool:
    return bool(rgb.shape == (HEIGHT, WIDTH, 3) and np.abs(rgb[60, 45].astype(int) - RED).max() <= tolerance)


def refused(data: object, form: str = "jpeg") -> str:
    with pytest.raises(RunFailed) as caught:
        compressed_to_rgb(message(data, form))
    assert caught.value.code is ErrorCode.BAD_IMAGE
    return caught.value.message


JPEGS = {
    "baseline": encoded(discs(), ".jpg"),
    "progressive": encoded(discs(), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": encoded(discs(), ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "optimized": encoded(discs(), ".jpg", cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_QUALITY, 100),
}


@pytest.mark.parametrize("padding", [b"", b"\0", b"\0" * 100_000, b"\xff" * 9, b"\xff\xd9" * 50, b"left over " * 999])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_in_a_buffer_of_fixed_size(kind: str, padding: bytes) -> None:
    assert shows_the_red_disc(compressed_to_rgb(message(JPEGS[kind] + padding)))


@pytest.mark.parametrize("padding", [b"", b"\0" * 65_536, b"\xff" * 9])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_was_really_cut(kind: str, share: float, padding: bytes) -> None:
    data = JPEGS[kind]
    assert "JPEG" in refused(data[: int(share * len(data))] + padding)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    thumbnail = JPEGS["baseline"]
    inside = b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    whole = thumbnail[:2] + inside + thumbnail[2:]
    assert shows_the_red_disc(compressed_to_rgb(message(whole)))
    assert "cut short" in refused(whole[: len(inside) + len(thumbnail) // 2])


@pytest.mark.parametrize("padding", [b"", b"\0" * 65_536])
def test_a_png_in_a_buffer_of_fixed_size(padding: bytes) -> None:
    data = encoded(discs(), ".png")
    assert shows_the_red_disc(compressed_to_rgb(message(data + padding, "png")))
    for share in (0.3, 0.6, 0.99):
        assert "PNG is cut short" in refused(data[: int(share * len(data))] + padding, "png")


# --- mosaics


def mosaic(pattern: str, dtype: type = np.uint8) -> NDArray[Any]:
    """What a sensor with these colour filters sees of the discs."""
    rgb = discs()
    raw: NDArray[Any] = np.empty((HEIGHT, WIDTH), dtype)
    for place, colour in enumerate(pattern):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        raw[rows, columns] = rgb[rows, columns, "rgb".index(colour)]
    return raw if dtype is np.uint8 else raw * dtype(257)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(
    "form", ["bayer_{}8; png compressed ", "bayer_{}8; png compressed bayer_{}8", "BAYER_{}8;PNG compressed"]
)
def test_a_bayer_mosaic_is_made_a_picture_of(pattern: str, form: str) -> None:
    data = encoded(mosaic(pattern), ".png")
    assert shows_the_red_disc(compressed_to_rgb(message(data, form.format(pattern, pattern))), 20)


def test_a_bayer_mosaic_of_16_bits_and_one_as_jpeg() -> None:
    deep = encoded(mosaic("rggb", np.uint16), ".png")
    assert shows_the_red_disc(compressed_to_rgb(message(deep, "bayer_rggb16; png compressed ")), 20)
    lossy = encoded(mosaic("rggb"), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100)
    assert shows_the_red_disc(compressed_to_rgb(message(lossy, "bayer_rggb8; jpeg compressed ")), 30)


@pytest.mark.parametrize(
    ("pixels", "form"),
    [
        (discs(), "bayer_rggb8; png compressed bgr8"),
        (discs(), "bayer_rggb8; png compressed "),
        (discs(), "rgb8; png compressed bgr8"),
        (discs(), "png"),
        (discs(), ""),
        (discs().astype(np.uint16) * 257, "rgb16; png compressed bgr16"),
        (discs(), "bgra8; png compressed bgr8"),
    ],
)
def test_what_the_sender_made_a_picture_of_stays_as_it_is(pixels: NDArray[Any], form: str) -> None:
    assert shows_the_red_disc(compressed_to_rgb(message(encoded(pixels, ".png"), form)))


def test_grey_pictures_are_grey() -> None:
    grey = np.full((HEIGHT, WIDTH), 90, np.uint8)
    for form in ("mono8; png compressed ", "bayer_rggb8; png compressed mono8"):
        assert (compressed_to_rgb(message(encoded(grey, ".png"), form)) == 90).all()


# --- data that is no buffer


class Lazy:
    """A sequence of bytes as newer releases of ROS hand out, whose bytes may be anywhere."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, at: int) -> int:
        raise IndexError(at)


@pytest.mark.parametrize("data", [Lazy(), [1, 2, 3], None, "text", np.zeros(9)[::2]])
def test_data_that_is_no_plain_buffer_is_told(data: object) -> None:
    assert "no plain buffer" in refused(data)
