"""Raw images whose fields do not say what their bytes are: nothing is guessed about pixels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from bags import HEIGHT, WIDTH, discs, truth
from numpy.typing import NDArray

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.images import raw_to_rgb, to_mask


def message(pixels: NDArray[Any], encoding: str, **fields: Any) -> Any:
    known: dict[str, Any] = {
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "step": pixels.nbytes // pixels.shape[0],
    }
    data = np.frombuffer(pixels.tobytes(), np.uint8)
    header = SimpleNamespace(frame_id="camera")
    return SimpleNamespace(
        **(known | {"header": header, "encoding": encoding, "is_bigendian": 0, "data": data} | fields)
    )


def semi_planar(blue_first: bool) -> NDArray[np.uint8]:
    """(3/2 H, W): the discs as nv12 or nv21."""
    planar = cv2.cvtColor(discs(), cv2.COLOR_RGB2YUV_I420)
    u, v = planar[HEIGHT : HEIGHT * 5 // 4].reshape(-1), planar[HEIGHT * 5 // 4 :].reshape(-1)
    colours = np.stack([u, v] if blue_first else [v, u], 1).reshape(HEIGHT // 2, WIDTH)
    return np.vstack([planar[:HEIGHT], colours])


def refused(given: Any, read: Any = raw_to_rgb) -> str:
    with pytest.raises(RunFailed) as caught:
        read(given)
    assert caught.value.code is ErrorCode.BAD_IMAGE
    return caught.value.message


def shows_the_red_disc(rgb: NDArray[np.uint8]) -> bool:
    return bool(rgb.shape == (HEIGHT, WIDTH, 3) and np.abs(rgb[60, 45].astype(int) - (210, 40, 40)).max() < 12)


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
class TestSemiPlanar:
    def test_the_colour_rows_may_be_counted_in_the_height_or_not(self, encoding: str) -> None:
        pixels = semi_planar(encoding == "nv12")
        assert shows_the_red_disc(raw_to_rgb(message(pixels, encoding, height=HEIGHT)))
        assert shows_the_red_disc(raw_to_rgb(message(pixels, encoding)))

    @pytest.mark.parametrize("padding", [4, 96])
    def test_rows_may_be_padded(self, encoding: str, padding: int) -> None:
        pixels = np.pad(semi_planar(encoding == "nv12"), ((0, 0), (0, padding)))
        for height in (HEIGHT, HEIGHT * 3 // 2):
            assert shows_the_red_disc(raw_to_rgb(message(pixels, encoding, width=WIDTH, height=height)))

    def test_a_step_of_two_bytes_a_pixel_is_refused(self, encoding: str) -> None:
        """Some publishers ask for the channels, which are two, and make the buffer as large: which rows are in it?"""
        buffer = np.zeros(2 * WIDTH * HEIGHT, np.uint8)
        buffer[: WIDTH * HEIGHT * 3 // 2] = semi_planar(encoding == "nv12").reshape(-1)
        given = message(buffer.reshape(HEIGHT, 2 * WIDTH), encoding, width=WIDTH)
        assert "bytes are needed" in refused(given)

    @pytest.mark.parametrize("rows", [HEIGHT, HEIGHT + 1, HEIGHT * 3 // 2 - 1])
    def test_a_buffer_that_is_too_short_is_no_smaller_picture(self, encoding: str, rows: int) -> None:
        pixels = semi_planar(encoding == "nv12")[:rows]
        if rows % 3:
            assert "bytes are needed" in refused(message(pixels, encoding, width=WIDTH, height=rows))
        assert "bytes are needed" in refused(message(pixels, encoding, height=HEIGHT + 30, step=WIDTH))


# --- masks


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
@pytest.mark.parametrize("value", [1, 2, 127, 128, 254, 255])
def test_of_two_values_the_one_that_is_not_0_is_inside(value: int, encoding: str) -> None:
    pixels = truth().astype(np.uint8) * np.uint8(value)
    assert (to_mask(message(pixels, encoding)) == truth()).all()


def test_an_empty_mask_and_a_full_one() -> None:
    for value, inside in ((0, False), (1, True), (255, True)):
        assert (to_mask(message(np.full((4, 5), value, np.uint8), "mono8")) == inside).all()


def test_a_soft_edge_is_cut_in_its_middle() -> None:
    soft = cv2.GaussianBlur(truth().astype(np.uint8) * 255, (5, 5), 0)
    assert np.unique(soft).size > 10
    assert (to_mask(message(soft, "mono8")) == (soft >= 128)).all()


def test_labels_of_several_things_are_refused() -> None:
    labels = np.zeros((4, 6), np.uint8)
    labels[:, 2:4], labels[:, 4:] = 1, 2
    assert "1, 2" in refused(message(labels, "mono8"), to_mask)


@pytest.mark.parametrize("encoding", ["rgb8", "mono16", "32FC1"])
def test_other_encodings_are_no_masks(encoding: str) -> None:
    assert "mono8" in refused(message(np.zeros((4, 5), np.uint8), encoding), to_mask)


@pytest.mark.parametrize("data", [[1, 2, 3], None, "text", object()])
def test_data_that_is_no_plain_buffer_is_told(data: object) -> None:
    assert "no plain buffer" in refused(message(np.zeros((4, 5), np.uint8), "mono8", data=data))
