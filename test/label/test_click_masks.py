"""Clicks become masks."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from fakes import FakeSegmenter
from labelling import picture
from numpy.typing import NDArray

from rsagent_ros.agent.actions import MAX_POINTS
from rsagent_ros.agent.errors import ToolFailed
from rsagent_ros.agent.mask import Mask, bounding_box, iou
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.label.click_masks import KEPT, Clicks, ClickSegmenter, outline


def centre(mask: Mask) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


@pytest.mark.parametrize("seed", range(4))
def test_a_click_draws_the_thing(seed: int) -> None:
    image, things = picture(seed)
    drawer = ClickSegmenter(ClassicalSegmenter())
    for thing in things:
        drawn = drawer.draw("a", image, None, Clicks(positive=(centre(thing.mask),)))
        assert iou(drawn.mask, thing.mask) > 0.9, (seed, thing.shape, thing.colour)


def test_a_box_draws_the_thing() -> None:
    image, (thing, *_) = picture(1)
    box = bounding_box(thing.mask)
    assert box is not None
    around = (box.x0 - 3, box.y0 - 3, box.x1 + 3, box.y1 + 3)
    assert iou(ClickSegmenter(ClassicalSegmenter()).draw("a", image, None, Clicks(box=around)).mask, thing.mask) > 0.9


def test_a_mask_is_refined_by_what_does_not_belong_to_it() -> None:
    image, (left, right, *_) = picture(1)
    both = left.mask | right.mask
    clicks = Clicks(negative=(centre(right.mask),), refine=True)
    drawn = ClickSegmenter(ClassicalSegmenter()).draw("a", image, both, clicks)
    assert iou(drawn.mask, left.mask) > 0.9
    assert not drawn.mask[right.mask].any()


@pytest.mark.parametrize(
    ("clicks", "start", "why"),
    [
        (Clicks(), True, "click on the thing first"),
        (Clicks(refine=True), True, "click on the thing first"),
        (Clicks(negative=((5.0, 5.0),)), True, "click on the thing first"),
        (Clicks(positive=((5.0, 5.0),), refine=True), False, "nothing to start from"),
        (Clicks(positive=((320.5, 5.0),)), True, "not in the image of 320 x 240"),
        (Clicks(negative=((5.0, -1.0),), box=(1, 1, 9, 9)), True, "not in the image"),
        (Clicks(positive=((float("nan"), 5.0),)), True, "not in the image"),
        (Clicks(box=(5.0, 5.0, 5.5, 60.0)), True, "less than a pixel"),
        (Clicks(box=(60.0, 5.0, 5.0, 60.0)), True, "less than a pixel"),
        (Clicks(positive=((5.0, 5.0),) * (MAX_POINTS + 1)), True, f"at most {MAX_POINTS} clicks"),
    ],
)
def test_clicks_that_can_not_be(clicks: Clicks, start: bool, why: str) -> None:
    image, _ = picture()
    segmenter = FakeSegmenter()
    with pytest.raises(ValueError, match=why):
        ClickSegmenter(segmenter).draw("a", image, np.ones((240, 320), np.bool_) if start else None, clicks)
    assert segmenter.prompts == []


def test_nothing_to_draw() -> None:
    with pytest.raises(ToolFailed, match="Nothing could be segmented"):
        ClickSegmenter(FakeSegmenter("empty_mask")).draw("a", picture()[0], None, Clicks(positive=((5.0, 5.0),)))


def test_an_image_is_encoded_once_and_few_are_kept() -> None:
    segmenter = FakeSegmenter()
    drawer = ClickSegmenter(segmenter)
    click = Clicks(positive=((5.0, 5.0),))
    for key in ("0", "0", *map(str, range(KEPT)), "0"):
        drawer.draw(key, picture()[0], None, click)
    assert len(segmenter.encoded) == KEPT
    drawer.draw("one more", picture()[0], None, click)
    drawer.draw("0", picture()[0], None, click)
    assert len(segmenter.encoded) == KEPT + 1
    drawer.draw("1", picture()[0], None, click)
    assert len(segmenter.encoded) == KEPT + 2


def filled(path: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels in the data of an SVG path, by the rule evenodd."""
    mask = np.zeros(shape, np.uint8)
    rings = [np.array(re.findall(r"([\d.]+),([\d.]+)", ring), float) - 0.5 for ring in path.split("Z")[:-1]]
    cv2.fillPoly(mask, [np.round(ring).astype(np.int32) for ring in rings], 1)
    return mask > 0


def test_the_outline_is_that_of_the_mask() -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[5:30, 8:50] = True
    mask[12:20, 15:30] = False  # a hole
    mask[35, 55] = True  # a single pixel
    again = filled(outline(mask), (40, 60))
    assert iou(again, mask) > 0.95
    assert not again[14:18, 18:27].any()
    assert again[35, 55]
    assert outline(np.zeros((4, 4), np.bool_)) == ""
