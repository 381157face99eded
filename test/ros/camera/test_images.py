"""Pixels of messages: every encoding, layout and fault. No node is needed."""

from __future__ import annotations

import array
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags.image import message_to_cvimage
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.images import to_depth, to_mask
from rsagent_ros.ros.camera import images
from rsagent_ros.ros.camera.images import jpeg, mask_image, rgb_image, to_rgb

HEIGHT, WIDTH = 32, 48


def scene() -> NDArray[np.uint8]:
    """(H, W, 3) RGB: smooth, so that Bayer and 4:2:x encodings keep it."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([40 + 4 * rows, 220 - 3 * columns, 60 + rows + columns], axis=-1).astype(np.uint8)


def bayer(rgb: NDArray[np.uint8], pattern: str) -> NDArray[np.uint8]:
    """What a sensor with these colour filters sees; the pattern names two rows of two pixels."""
    raw = np.empty((HEIGHT, WIDTH), np.uint8)
    for place, colour in enumerate(pattern):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        raw[rows, columns] = rgb[rows, columns, "rgb".index(colour)]
    return raw


def yuv422(rgb: NDArray[np.uint8], luma_first: bool) -> NDArray[np.uint8]:
    """BT.601 at video levels, as cameras send it."""
    weights = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
    luma, blue, red = np.moveaxis(rgb @ weights.T / 255 + [16, 128, 128], -1, 0).round().astype(np.uint8)
    packed = np.empty((HEIGHT, WIDTH, 2), np.uint8)
    packed[:, :, 0 if luma_first else 1] = luma
    chroma = packed[:, :, 1 if luma_first else 0]
    chroma[:, 0::2], chroma[:, 1::2] = blue[:, 0::2], red[:, 0::2]
    return packed


def semi_planar(rgb: NDArray[np.uint8], blue_first: bool) -> NDArray[np.uint8]:
    planar = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    quarter = HEIGHT * WIDTH // 4
    flat = planar.reshape(-1)
    u, v = flat[-2 * quarter : -quarter], flat[-quarter:]
    colour = np.stack([u, v] if blue_first else [v, u], axis=-1).reshape(HEIGHT // 2, WIDTH)
    return np.concatenate([flat[: HEIGHT * WIDTH].reshape(HEIGHT, WIDTH), colour])


def encoded(encoding: str) -> NDArray[Any]:
    """The scene as a camera would send it."""
    rgb = scene()
    wide = np.uint16(257)
    orders: dict[str, NDArray[Any]] = {
        "rgb": rgb,
        "bgr": rgb[:, :, ::-1],
        "rgba": np.dstack([rgb, np.full((HEIGHT, WIDTH), 255, np.uint8)]),
        "bgra": np.dstack([rgb[:, :, ::-1], np.full((HEIGHT, WIDTH), 7, np.uint8)]),
        "mono": cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY),
    }
    if encoding.startswith("bayer_"):
        raw = bayer(rgb, encoding[6:10])
        return raw * wide if encoding.endswith("16") else raw
    if encoding in ("uyvy", "yuv422", "yuyv", "yuv422_yuy2"):
        return yuv422(rgb, luma_first=encoding.startswith("yuy") or encoding.endswith("yuy2"))
    if encoding in ("nv12", "nv21"):
        return semi_planar(rgb, blue_first=encoding == "nv12")
    order = encoding.rstrip("0123456789")
    return orders[order] * wide if encoding.endswith("16") else orders[order]


def message(pixels: NDArray[Any], encoding: str, *, padding: int = 0, big_endian: bool = False) -> Image:
    rows = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<")).reshape(pixels.shape[0], -1)
    padded = np.hstack([rows.view(np.uint8), np.full((rows.shape[0], padding), 0xAB, np.uint8)])
    height = HEIGHT if encoding in ("nv12", "nv21") else pixels.shape[0]
    return Image(
        header=Header(frame_id="camera"),
        height=height,
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=big_endian,
        step=padded.shape[1],
        data=array.array("B", padded.tobytes()),
    )


EXACT = [f"{order}{bits}" for order in ("rgb", "bgr", "rgba", "bgra", "mono") for bits in (8, 16)]
BAYER = [f"bayer_{pattern}{bits}" for pattern in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)]
YUV = ["uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv12", "nv21"]


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", EXACT + BAYER + YUV)
def test_every_encoding_layout_and_byte_order(encoding: str, padding: int, big_endian: bool) -> None:
    pixels = to_rgb(message(encoded(encoding), encoding, padding=padding, big_endian=big_endian))
    wanted = np.dstack([encoded("mono8")] * 3) if encoding.startswith("mono") else scene()
    inner = np.s_[2:-2, 2:-2]  # a Bayer filter has no neighbours at the border
    off = np.abs(pixels[inner].astype(int) - wanted[inner])
    tolerance = 1 if encoding in EXACT else 4 if encoding in BAYER else 8
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert pixels.dtype == np.uint8
    assert off.max() <= tolerance
    assert not pixels.flags.writeable


@pytest.mark.parametrize("encoding", EXACT + BAYER + YUV[:4])
def test_where_rosbags_image_reads_it_too_both_agree(encoding: str) -> None:
    ours = to_rgb(message(encoded(encoding), encoding))
    theirs = message_to_cvimage(message(encoded(encoding), encoding), "rgb8")
    assert np.array_equal(ours, theirs)


def test_where_ros_has_cv_bridge_both_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    if images.cv_bridge() is None:
        pytest.skip("no cv_bridge here that works with this NumPy: it comes with ROS from apt")
    sent = {encoding: message(encoded(encoding), encoding, padding=6) for encoding in EXACT + BAYER + YUV}
    with_it = {encoding: to_rgb(image).astype(int) for encoding, image in sent.items()}
    monkeypatch.setattr(images, "cv_bridge", lambda: None)
    off = {encoding: np.abs(with_it[encoding] - to_rgb(image)).max() for encoding, image in sent.items()}
    assert {encoding: worst for encoding, worst in off.items() if worst > 1} == {}


@pytest.mark.parametrize(
    ("encoding", "same_as"), [("8UC1", "mono8"), ("8UC3", "bgr8"), ("8UC4", "bgra8"), ("16UC1", "mono16")]
)
def test_opencvs_own_encodings(encoding: str, same_as: str) -> None:
    pixels = encoded(same_as)
    assert np.array_equal(to_rgb(message(pixels, encoding)), to_rgb(message(pixels, same_as)))


def test_floats_are_0_to_1() -> None:
    pixels = np.array([[0.0, 0.5, 1.0, 2.0, -1.0, np.nan, np.inf]], np.float32)
    assert to_rgb(message(pixels, "32FC1"))[0, :, 0].tolist() == [0, 127, 255, 255, 0, 0, 255]
    assert to_rgb(message(pixels.astype(np.float64), "64FC1"))[0, :, 0].tolist() == [0, 127, 255, 255, 0, 0, 255]


def test_nv12_whose_height_counts_the_colour_rows() -> None:
    counted = message(encoded("nv12"), "nv12")
    counted.height = HEIGHT * 3 // 2
    assert np.array_equal(to_rgb(counted), to_rgb(message(encoded("nv12"), "nv12")))


def test_rgb8_without_padding_is_not_copied() -> None:
    source = message(scene(), "rgb8")
    assert np.shares_memory(to_rgb(source), np.frombuffer(source.data, np.uint8))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"height": 0}, "1 to 64000000 pixels"),
        ({"width": 0}, "1 to 64000000 pixels"),
        ({"width": 2**31, "height": 2**31}, "1 to 64000000 pixels"),
        ({"step": 100}, "step is 100 bytes, but a row of 48 pixels has 144"),
        ({"data": array.array("B", bytes(100))}, "4608 bytes are needed, data has 100"),
        ({"step": 2**32 - 1}, "data has 4608"),
        ({"encoding": ""}, "the encoding '' can't be converted"),
        ({"encoding": "rgb9"}, "the encoding 'rgb9' can't be converted"),
        ({"encoding": "32SC1"}, "can't be converted"),
        ({"encoding": "8UC2"}, "can't be converted"),
    ],
)
def test_what_does_not_go_together_is_refused(change: dict[str, Any], told: str) -> None:
    broken = message(scene(), "rgb8")
    for name, value in change.items():
        setattr(broken, name, value)
    with pytest.raises(RunFailed) as failure:
        to_rgb(broken)
    assert failure.value.code is ErrorCode.BAD_IMAGE
    assert told in failure.value.message
    assert "frame 'camera'" in failure.value.message


def compressed(suffix: str, pixels: NDArray[Any]) -> CompressedImage:
    return CompressedImage(format=suffix[1:], data=array.array("B", cv2.imencode(suffix, pixels)[1].tobytes()))


def test_compressed_images() -> None:
    bgr = np.ascontiguousarray(scene()[:, :, ::-1])
    assert np.array_equal(to_rgb(compressed(".png", bgr)), scene())
    assert np.abs(to_rgb(compressed(".jpg", bgr)).astype(int) - scene()).mean() < 3
    assert np.array_equal(to_rgb(compressed(".png", encoded("mono16"))), np.dstack([encoded("mono8")] * 3))


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", bytes(1000)])
def test_compressed_images_that_are_none(data: bytes) -> None:
    with pytest.raises(RunFailed, match=f"compressed image of {len(data)} bytes, format 'jpeg'"):
        to_rgb(CompressedImage(format="jpeg", data=array.array("B", data)))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_jpeg_that_was_cut_short(share: float) -> None:
    data = bytes(compressed(".jpg", scene()).data)
    with pytest.raises(RunFailed, match=r"cut short|can't be decoded"):
        to_rgb(CompressedImage(format="jpeg", data=array.array("B", data[: int(len(data) * share)])))


def test_few_bytes_that_claim_gigabytes_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: Any) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", decoded)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 32_000, 31_000) + bytes(100)
    frame = b"\xff\xc2" + struct.pack(">HBHH", 17, 8, 31_000, 32_000) + bytes(100)
    jpeg = b"\xff\xd8" + b"\xff\xe0" + struct.pack(">H", 16) + bytes(14) + b"\xff" + frame
    for data in (png, jpeg):
        with pytest.raises(RunFailed, match="it is 32000 x 31000; allowed: 1 to "):
            to_rgb(CompressedImage(format="jpeg", data=array.array("B", data)))


def test_depth_in_metres() -> None:
    metres = np.array([[0.5, 0.0, np.nan, np.inf, -1.0]], np.float32)
    assert np.array_equal(to_depth(message(metres, "32FC1")), [[0.5, np.nan, np.nan, np.nan, np.nan]], equal_nan=True)
    millimetres = np.array([[500, 0, 65535]], np.uint16)
    wanted = np.array([[0.5, np.nan, 65.535]], np.float32)
    for big_endian in (False, True):
        assert np.allclose(to_depth(message(millimetres, "16UC1", big_endian=big_endian)), wanted, equal_nan=True)
    with pytest.raises(RunFailed, match="32FC1"):
        to_depth(message(scene(), "rgb8"))


def test_masks_and_pictures_there_and_back() -> None:
    header = Header(frame_id="camera")
    mask = scene()[:, :, 0] > 100
    sent = mask_image(mask, header)
    assert (sent.encoding, sent.step, sent.header) == ("mono8", WIDTH, header)
    assert set(sent.data) == {0, 255}
    assert np.array_equal(to_mask(sent), mask)
    assert np.array_equal(to_rgb(rgb_image(scene(), header)), scene())
    assert np.abs(to_rgb(jpeg(scene(), header, 95)).astype(int) - scene()).mean() < 3
    with pytest.raises(RunFailed, match="a mask is mono8"):
        to_mask(message(scene(), "rgb8"))
