"""Masks: run lengths as COCO writes them and none that it must not read, overlap by the definition, honest overlays."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco

from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import (
    DIM,
    EDGE_COLOUR,
    MAX_PIXELS,
    MAX_RLE_BYTES,
    OVERLAY_SIDE,
    Mask,
    area,
    bounding_box,
    check_rle,
    decode_rle,
    draw_overlay,
    encode_part,
    encode_rle,
    fit,
    iou,
)


def noise(height: int, width: int, seed: int = 0, density: float = 0.5) -> Mask:
    return np.random.default_rng(seed).random((height, width)) < density


def image(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


masks = st.builds(noise, st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))


# --- run lengths


@given(masks)
def test_rle_is_coco_s_own_and_comes_back(mask: Mask) -> None:
    rle = encode_rle(mask)
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert rle == {"size": list(theirs["size"]), "counts": theirs["counts"].decode()}
    assert all(type(side) is int for side in rle["size"])
    decoded = decode_rle(rle)
    assert decoded.dtype == np.bool_
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, mask)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (1080, 1920)])
@pytest.mark.parametrize("density", [0.0, 0.001, 0.5, 1.0])
def test_rle_of_any_shape_comes_back(shape: tuple[int, int], density: float) -> None:
    mask = noise(*shape, density=density)
    np.testing.assert_array_equal(decode_rle(encode_rle(mask)), mask)


def test_rle_of_a_slice_is_that_of_its_copy() -> None:
    mask = noise(60, 80)
    assert encode_rle(mask[5:40, 7:61]) == encode_rle(mask[5:40, 7:61].copy())
    assert encode_rle(mask.T) == encode_rle(mask.T.copy())
    assert encode_rle(mask[::2, ::-3]) == encode_rle(mask[::2, ::-3].copy())


def group(value: int, groups: int) -> str:
    """One run in COCO's text form, in so many groups of five bits, more than it needs if they are."""
    bits = [value >> 5 * k & 0x1F | (0x20 if k < groups - 1 else 0) for k in range(groups)]
    return "".join(chr(b + 48) for b in bits)


GOOD = encode_rle(noise(20, 30))


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        (None, "an RLE mask is an object"),
        ([20, 30], "an RLE mask is an object"),
        ({"size": [20, 30]}, "an RLE mask is an object"),
        ({**GOOD, "extra": 1}, "an RLE mask is an object"),
        ({**GOOD, "size": (20, 30)}, "RLE size"),
        ({**GOOD, "size": [20]}, "RLE size"),
        ({**GOOD, "size": [20, 30, 1]}, "RLE size"),
        ({**GOOD, "size": [20, 0]}, "RLE size"),
        ({**GOOD, "size": [-20, -30]}, "RLE size"),
        ({**GOOD, "size": [20.0, 30]}, "RLE size"),
        ({**GOOD, "size": [True, 600]}, "RLE size"),
        ({**GOOD, "size": ["20", "30"]}, "RLE size"),
        ({**GOOD, "size": [20, 31]}, "do not add up"),
        ({**GOOD, "size": [2**40, 2**40]}, "over the limits"),
        ({**GOOD, "size": [1, MAX_PIXELS + 1]}, "over the limits"),
        ({**GOOD, "counts": "0" * (MAX_RLE_BYTES + 1)}, "over the limits"),
        ({**GOOD, "counts": GOOD["counts"].encode()}, "it must be ASCII text"),
        ({**GOOD, "counts": [100, 200, 300]}, "it must be ASCII text"),
        ({**GOOD, "counts": "ü" * 10}, "it must be ASCII text"),
        ({**GOOD, "counts": "\ud800"}, "it must be ASCII text"),
        ({**GOOD, "counts": ""}, "do not add up"),
        ({**GOOD, "counts": GOOD["counts"][:-1]}, "RLE|runs"),
        ({**GOOD, "counts": "\0"}, "characters"),
        ({**GOOD, "counts": "a b"}, "characters"),
        ({**GOOD, "counts": "~"}, "characters"),
        ({**GOOD, "counts": "o"}, "cut short"),
        ({**GOOD, "counts": group(-5, 2) + group(605, 3)}, "negative run"),
        ({**GOOD, "counts": group(2**25, 6)}, "do not add up"),
        ({**GOOD, "counts": group(600, 7)}, "characters"),
        ({**GOOD, "counts": "o" * 1000}, "characters"),
    ],
)
def test_rle_that_is_none_is_refused(rle: object, message: str) -> None:
    for read in (check_rle, decode_rle):
        with pytest.raises(ValueError, match=message):
            read(rle)


def test_rle_with_padded_runs_still_reads() -> None:
    mask = np.zeros((20, 30), dtype=np.bool_)
    mask[:, 10:] = True
    np.testing.assert_array_equal(decode_rle({"size": [20, 30], "counts": group(200, 6) + group(400, 6)}), mask)


def test_5000_damaged_rles_are_read_or_refused_and_never_crash() -> None:
    dice = random.Random(0)
    alphabet = [chr(code) for code in range(48, 112)]
    read = refused = 0
    for number in range(5000):
        height, width = dice.randrange(1, 40), dice.randrange(1, 40)
        counts = list(encode_rle(noise(height, width, number, dice.random()))["counts"])
        for _ in range(dice.randrange(1, 4)):
            spot = dice.randrange(len(counts) + 1)
            match dice.randrange(4):
                case 0:
                    counts.insert(spot, dice.choice(alphabet))
                case 1:
                    del counts[spot : spot + dice.randrange(1, 4)]
                case 2:
                    counts[spot : spot + 1] = [dice.choice(alphabet)]
                case _:
                    counts[spot:spot] = [dice.choice("opqo~") for _ in range(dice.randrange(12))]
        try:
            mask = decode_rle({"size": [height, width], "counts": "".join(counts)})
        except ValueError:
            refused += 1
            continue
        read += 1
        assert mask.shape == (height, width)
        np.testing.assert_array_equal(decode_rle(encode_rle(mask)), mask)
    assert read > 50
    assert refused > 2500


# --- overlap, area, box


def shown(mask: Mask) -> set[tuple[int, int]]:
    return {(int(y), int(x)) for y, x in np.argwhere(mask)}


@given(masks, st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_iou_and_area_count_pixels(a: Mask, seed: int, density: float) -> None:
    b = noise(a.shape[0], a.shape[1], seed, density)
    joined = shown(a) | shown(b)
    assert iou(a, b) == (len(shown(a) & shown(b)) / len(joined) if joined else 1.0)
    assert iou(a, a) == 1.0
    assert area(a) == len(shown(a))


def test_masks_of_two_sizes_have_no_iou() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4\) and \(4, 3\)"):
        iou(noise(3, 4), noise(4, 3))


@given(masks)
def test_bounding_box_is_the_smallest(mask: Mask) -> None:
    pixels = shown(mask)
    if not pixels:
        assert bounding_box(mask) is None
        return
    rows, columns = zip(*pixels, strict=True)
    assert bounding_box(mask) == Box(min(columns), min(rows), max(columns) + 1, max(rows) + 1)


def test_bounding_box_of_a_slice() -> None:
    full = np.zeros((50, 60), dtype=np.bool_)
    full[20:30, 35:41] = True
    assert bounding_box(full[10:, 5:]) == Box(30, 10, 36, 20)


# --- pictures


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (1080, 1920, (216, 384)),
        (1920, 1080, (384, 216)),
        (10, 10, (384, 384)),
        (4000, 1, (384, 1)),
        (1, 4000, (1, 384)),
    ],
)
def test_fit_keeps_the_shape(height: int, width: int, size: tuple[int, int]) -> None:
    assert fit(image(height, width), 384).shape == (*size, 3)


def test_fit_at_full_size_is_a_copy() -> None:
    picture = image(100, 384)
    fitted = fit(picture, 384)
    np.testing.assert_array_equal(fitted, picture)
    assert not np.shares_memory(fitted, picture)


def overlay_parts(picture: NDArray[np.uint8], mask: Mask) -> tuple[NDArray[np.uint8], Mask, NDArray[np.uint8]]:
    """An overlay in the shape of its view, where its edge line is, and the view at that size."""
    small = fit(picture, OVERLAY_SIDE)
    height, width = small.shape[:2]
    assert max(height, width) == OVERLAY_SIDE
    drawn = draw_overlay(picture, mask, width, height)
    assert (drawn.shape, drawn.dtype) == (small.shape, np.uint8)
    return drawn, np.all(drawn == EDGE_COLOUR, axis=2), small


@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 2**32 - 1), st.floats(0, 0.02))
def test_overlay_is_a_spotlight(height: int, width: int, seed: int, density: float) -> None:
    picture = image(height, width, seed) // 2  # nothing in it is magenta
    seeds = noise(height, width, seed, density).astype(np.uint8)
    mask = cv2.dilate(seeds, np.ones((7, 7), dtype=np.uint8)).astype(np.bool_)
    drawn, edge, small = overlay_parts(picture, mask)
    bright = np.all(drawn == small, axis=2) & ~edge
    dark = np.all(drawn == (small * DIM).astype(np.uint8), axis=2) & ~edge
    assert np.all(bright | dark | edge)
    assert edge.any() == mask.any()
    if not mask.any():
        assert dark.all()


def test_overlay_shows_inside_outside_and_edge_where_they_are() -> None:
    picture = np.full((384, 384, 3), 200, dtype=np.uint8)
    mask = np.zeros((384, 384), dtype=np.bool_)
    mask[100:200, 50:150] = True
    drawn, edge, _ = overlay_parts(picture, mask)
    line = np.zeros_like(mask)
    line[100:200, 50:150] = True
    line[101:199, 51:149] = False
    np.testing.assert_array_equal(edge, line)
    assert (drawn[101:199, 51:149] == 200).all()
    assert (drawn[~mask] == int(200 * DIM)).all()


def test_overlay_draws_the_edges_of_holes() -> None:
    mask = np.ones((384, 384), dtype=np.bool_)
    mask[150:250, 150:250] = False
    drawn, edge, _ = overlay_parts(np.full((384, 384, 3), 200, dtype=np.uint8), mask)
    assert edge[149, 200]
    assert edge[200, 250]
    assert (drawn[200, 200] == int(200 * DIM)).all()
    assert (drawn[75, 75] == 200).all()


def test_overlay_of_a_wide_view_scales_mask_and_view_alike() -> None:
    picture = np.full((400, 800, 3), 100, dtype=np.uint8)
    mask = np.zeros((400, 800), dtype=np.bool_)
    mask[:, :400] = True
    drawn, _, small = overlay_parts(picture, mask)
    assert small.shape == (192, 384, 3)
    assert (drawn[1:-1, 1:191] == 100).all()
    assert (drawn[:, 192:] == int(100 * DIM)).all()


def test_overlay_shows_a_pixel_as_covered_when_half_of_it_is() -> None:
    mask = np.zeros((1152, 1152), dtype=np.bool_)
    mask[:, 300:301] = True  # a third of the overlay's column 100
    mask[:, 600:602] = True  # two thirds of its column 200
    _, edge, _ = overlay_parts(np.full((1152, 1152, 3), 100, dtype=np.uint8), mask)
    assert edge[:, 200].all()
    assert edge.sum() == 384


@pytest.mark.parametrize(("height", "width"), [(3000, 4000), (40, 20_000), (20_000, 40), (1, 4000), (4000, 1), (1, 1)])
@pytest.mark.parametrize("corner", [0, -1])
def test_single_pixel_stays_visible_where_it_is(height: int, width: int, corner: int) -> None:
    picture = np.full((height, width, 3), 100, dtype=np.uint8)
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[corner, corner] = True
    _, edge, _ = overlay_parts(picture, mask)
    assert edge[corner, corner]
    assert edge.sum() == 1 or max(height, width) < OVERLAY_SIDE


def test_overlay_leaves_its_inputs_alone() -> None:
    picture, mask = image(50, 60), noise(50, 60)
    before = picture.copy(), mask.copy()
    draw_overlay(picture, mask, 30, 25)
    np.testing.assert_array_equal(picture, before[0])
    np.testing.assert_array_equal(mask, before[1])


@given(st.data())
def test_run_lengths_of_a_part_are_those_of_the_whole(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    seed = data.draw(st.integers(0, 1_000))
    part = np.random.default_rng(seed).random((y1 - y0, x1 - x0)) < data.draw(st.sampled_from([0.1, 0.5, 0.9, 1.0]))
    full = np.zeros((height, width), dtype=np.bool_)
    full[y0:y1, x0:x1] = part
    assert encode_part(part, Box(x0, y0, x1, y1), (height, width)) == encode_rle(full)
