"""The tools: prompts arrive in pixels of the view, masks come back in pixels of the frame, and nothing old changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fakes import FakeSegmenter
from numpy.typing import NDArray

from rsagent_ros.agent.actions import Combine, ResetView, Segment, Zoom
from rsagent_ros.agent.errors import ReplyError, RunFailed, ToolFailed
from rsagent_ros.agent.evidence import MaskEntry, pick
from rsagent_ros.agent.geometry import Box, Point, View
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.pictures import DEFAULT_PICTURES
from rsagent_ros.agent.segmenter import BACKGROUND, FOREGROUND, Candidate, MaskPrompt
from rsagent_ros.agent.toolbox import MASK_INPUT_LOGIT, MASK_INPUT_SIDE, Effect, Toolbox

FRAME = np.zeros((400, 800, 3), dtype=np.uint8)
WHOLE = View.whole(800, 400)
MIDDLE = Box(250, 250, 750, 750)


class Bench:
    """A toolbox with the view and the masks that an episode would keep."""

    def __init__(self, segmenter: FakeSegmenter | None = None) -> None:
        self.segmenter = FakeSegmenter() if segmenter is None else segmenter
        self.tools = Toolbox(FRAME, self.segmenter, DEFAULT_PICTURES)
        self.view = WHOLE
        self.masks: list[MaskEntry] = []

    def do(self, *actions: Segment | Zoom | ResetView | Combine) -> Effect:
        for action in actions:
            effect = self.tools.run(action, self.view, self.masks)
            self.view = effect.view
            self.masks += [effect.entry] if effect.entry else []
        return effect

    def refuses(self, action: Segment | Zoom | ResetView | Combine) -> ToolFailed | ReplyError:
        with pytest.raises((ToolFailed, ReplyError)) as caught:
            self.do(action)
        assert isinstance(caught.value, ToolFailed | ReplyError)
        return caught.value


class Offers(FakeSegmenter):
    """Gives the same candidates whatever the prompt."""

    def __init__(self, *candidates: Candidate) -> None:
        super().__init__()
        self.candidates = list(candidates)

    def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
        return self.candidates


def offer(score: float, column: int | None, shape: tuple[int, int] = (400, 800)) -> Candidate:
    """A candidate of one column of pixels, or of none."""
    mask = np.zeros(shape, dtype=np.bool_)
    if column is not None:
        mask[:, column] = True
    return Candidate(mask, score, np.where(mask, np.float32(8), np.float32(-8)).astype(np.float32))


def block(x0: int, y0: int, x1: int, y1: int) -> NDArray[np.bool_]:
    mask = np.zeros((400, 800), dtype=np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def entry(effect: Effect) -> MaskEntry:
    assert effect.entry is not None
    return effect.entry


# --- looking


def test_zoom_shows_the_part_and_says_where_it_is() -> None:
    effect = Bench().do(Zoom(MIDDLE))
    assert effect.view.key == (200, 100, 600, 300)
    assert effect.facts == {"view": [200, 100, 600, 300], "image": [800, 400]}
    assert (effect.entry, effect.picture) == (None, "view")


def test_reset_view_shows_the_whole_frame_from_any_depth() -> None:
    effect = Bench().do(Zoom(MIDDLE), Zoom(MIDDLE), ResetView())
    assert effect.view == WHOLE
    assert effect.picture == "view"


def test_looking_at_what_is_looked_at_is_no_step() -> None:
    bench = Bench()
    assert bench.refuses(ResetView()).code == "same_view"
    assert bench.refuses(Zoom(Box(0, 0, 1000, 1000))).code == "same_view"
    bench.do(Zoom(MIDDLE))
    assert bench.refuses(Zoom(Box(0, 0, 1000, 1000))).code == "same_view"


def test_looking_encodes_nothing() -> None:
    bench = Bench()
    bench.do(Zoom(MIDDLE), ResetView())
    assert bench.segmenter.encoded == []


# --- segmenting


def test_prompt_is_in_pixels_of_the_view() -> None:
    bench = Bench()
    bench.do(Zoom(MIDDLE), Segment(Box(0, 0, 500, 500), (Point(1000, 1000),), (Point(250, 0),)))
    (prompt,) = bench.segmenter.prompts
    np.testing.assert_array_equal(prompt.box, [0, 0, 200, 100])
    np.testing.assert_array_equal(prompt.point_coords, [[400, 200], [100, 0]])
    np.testing.assert_array_equal(prompt.point_labels, [FOREGROUND, BACKGROUND])
    assert prompt.mask_input is None
    assert bench.segmenter.encoded == [(200, 400)]


@pytest.mark.parametrize("box", [Box(0.28, 0.33, 0.42, 0.66), Box(500, 500, 501, 600), Box(0, 0, 1000, 1)])
def test_box_of_less_than_a_pixel_is_told_whatever_draws(box: Box) -> None:
    """A model that counts from 0 to 1 writes such boxes, and a network draws a mask of something for any."""
    bench = Bench()
    failure = bench.refuses(Segment(box=box))
    assert failure.code == "bad_prompt"
    assert "from 0 to 1000 across" in failure.message
    assert bench.segmenter.encoded == []
    assert bench.do(Segment(box=Box(500, 500, 503, 503))).entry is not None


def test_mask_is_in_pixels_of_the_frame_and_the_facts_in_those_of_the_view() -> None:
    effect = Bench().do(Zoom(MIDDLE), Segment(Box(0, 0, 500, 500)))
    made = entry(effect)
    np.testing.assert_array_equal(made.mask, block(200, 100, 400, 200))
    assert made.box == Box(200, 100, 400, 200)
    assert made.view_key == (200, 100, 600, 300)
    assert effect.facts == {"mask": 1, "score": 0.9, "area_percent": 25.0, "box": [0, 0, 500, 500]}
    assert effect.picture == "overlay"


def test_each_distinct_view_is_encoded_once() -> None:
    bench = Bench()
    look = Segment(MIDDLE)
    bench.do(look, look, Zoom(MIDDLE), look, ResetView(), look, Zoom(MIDDLE), look, Zoom(MIDDLE), look)
    assert bench.segmenter.encoded == [(400, 800), (200, 400), (100, 200)]
    assert len(bench.segmenter.prompts) == 6


def test_encoded_image_is_contiguous() -> None:
    class Checks(FakeSegmenter):
        def encode(self, image: NDArray[np.uint8]) -> tuple[int, int]:
            assert image.flags.c_contiguous
            return super().encode(image)

    Bench(Checks()).do(Zoom(MIDDLE), Segment(MIDDLE))


def test_candidate_of_the_best_score_that_shows_anything_is_taken() -> None:
    offers = Offers(offer(0.5, 1), offer(math.nan, 2), offer(0.7, 3), offer(0.9, None), offer(math.inf, 4))
    effect = Bench(offers).do(Segment(MIDDLE))
    assert entry(effect).box == Box(3, 0, 4, 400)
    assert effect.facts["score"] == 0.7


@pytest.mark.parametrize(("given", "kept"), [(1.7, 1.0), (-0.3, 0.0)])
def test_scores_are_kept_within_0_and_1(given: float, kept: float) -> None:
    assert entry(Bench(Offers(offer(given, 1))).do(Segment(MIDDLE))).score == kept


@pytest.mark.parametrize(
    "offers", [(), (offer(0.9, None),), (offer(math.nan, 1),), (offer(0.9, None), offer(-math.inf, 1))]
)
def test_nothing_usable_is_a_tool_failure(offers: tuple[Candidate, ...]) -> None:
    assert Bench(Offers(*offers)).refuses(Segment(MIDDLE)).code == "empty_mask"


@pytest.mark.parametrize(
    "wrong",
    [
        offer(0.9, 1, (400, 801)),
        offer(0.9, 1, (800, 400)),
        Candidate(np.ones((400, 800), dtype=np.uint8), 0.9, np.zeros((4, 4), dtype=np.float32)),
        Candidate(np.ones((400, 800, 1), dtype=np.bool_), 0.9, np.zeros((4, 4), dtype=np.float32)),
    ],
)
def test_candidate_that_breaks_the_contract_fails_the_run(wrong: Candidate) -> None:
    with pytest.raises(RunFailed, match=r"for a view of \(400, 800\) \(height, width\); bool is expected") as caught:
        Bench(Offers(offer(0.95, 1), wrong)).do(Segment(MIDDLE))
    assert caught.value.code == ErrorCode.SEGMENTER_FAILED


# --- refining


def test_refining_in_the_same_view_hands_back_the_logits() -> None:
    bench = Bench()
    first = entry(bench.do(Segment(MIDDLE)))
    second = entry(bench.do(Segment(refine=1, negative=(Point(300, 500),))))
    assert bench.segmenter.prompts[-1].mask_input is first.logits
    assert second.parents == (1,)
    assert not second.mask[200, 240]
    np.testing.assert_array_equal(first.mask, block(200, 100, 600, 300))


def test_refining_in_another_view_hands_over_what_is_seen_of_the_mask() -> None:
    bench = Bench()
    bench.do(Segment(Box(0, 0, 500, 1000)), Zoom(MIDDLE), Segment(refine=1))
    given = bench.segmenter.prompts[-1].mask_input
    assert given is not None
    assert given.dtype == np.float32
    assert given.shape == (200, MASK_INPUT_SIDE)
    half = MASK_INPUT_SIDE // 2
    np.testing.assert_allclose(given[:, :half], MASK_INPUT_LOGIT, rtol=1e-5)
    np.testing.assert_allclose(given[:, half:], -MASK_INPUT_LOGIT, rtol=1e-5)
    np.testing.assert_array_equal(bench.masks[-1].mask, block(200, 100, 400, 300))


def test_refining_a_combined_mask_works_without_logits() -> None:
    bench = Bench()
    bench.do(Segment(Box(0, 0, 500, 1000)), Combine((1,)), Segment(refine=2, positive=(Point(900, 500),)))
    assert bench.masks[1].logits is None
    np.testing.assert_array_equal(bench.masks[2].mask[:, :400], block(0, 0, 400, 400)[:, :400])
    assert bench.masks[2].mask[200, 720]


def test_mask_that_is_out_of_sight_cannot_be_refined() -> None:
    bench = Bench()
    bench.do(Segment(Box(0, 0, 100, 1000)), Zoom(MIDDLE))
    failure = bench.refuses(Segment(refine=1))
    assert (failure.code, failure.message) == ("mask_out_of_view", "Mask 1 has no pixel in the current view.")
    assert len(bench.segmenter.encoded) == 1


# --- combining


def test_combining_adds_and_cuts_pixel_by_pixel() -> None:
    bench = Bench()
    bench.do(Segment(Box(0, 0, 400, 500)), Segment(Box(300, 0, 700, 500)), Segment(Box(350, 250, 500, 1000)))
    before = [made.mask.copy() for made in bench.masks]
    effect = bench.do(Combine((1, 2), (3,)))
    made = entry(effect)
    np.testing.assert_array_equal(made.mask, (before[0] | before[1]) & ~before[2])
    assert made.parents == (1, 2, 3)
    assert made.logits is None
    assert effect.picture == "overlay"
    for old, copy in zip(bench.masks, before, strict=False):
        np.testing.assert_array_equal(old.mask, copy)


def test_combining_one_mask_leaves_it_alone() -> None:
    bench = Bench()
    bench.do(Segment(MIDDLE), Segment(Box(0, 0, 500, 1000)), Combine((1,), (2,)), Combine((1,)))
    np.testing.assert_array_equal(bench.masks[0].mask, block(200, 100, 600, 300))
    np.testing.assert_array_equal(bench.masks[2].mask, block(400, 100, 600, 300))
    np.testing.assert_array_equal(bench.masks[3].mask, bench.masks[0].mask)


def test_combined_mask_is_as_sure_as_the_least_sure_part() -> None:
    bench = Bench(Offers(offer(0.9, 1)))
    bench.do(Segment(MIDDLE))
    assert isinstance(bench.segmenter, Offers)
    bench.segmenter.candidates = [offer(0.4, 2)]
    bench.do(Segment(MIDDLE))
    assert entry(bench.do(Combine((1, 2)))).score == 0.4
    assert entry(bench.do(Combine((1,), (2,)))).score == 0.9


def test_combining_to_nothing_is_a_tool_failure() -> None:
    bench = Bench()
    bench.do(Segment(MIDDLE))
    assert bench.refuses(Combine((1,), (1,))).code == "empty_mask"


def test_combined_mask_out_of_sight_has_no_box_in_the_view() -> None:
    effect = (bench := Bench()).do(Segment(Box(0, 0, 100, 1000)), Zoom(MIDDLE), Combine((1,)))
    assert effect.facts == {"mask": 2, "score": 0.9, "area_percent": 0.0, "box": None}
    np.testing.assert_array_equal(bench.masks[1].mask, bench.masks[0].mask)


def test_box_of_a_mask_beyond_the_view_is_cut_at_its_edges() -> None:
    effect = Bench().do(Segment(Box(0, 0, 500, 1000)), Zoom(MIDDLE), Combine((1,)))
    assert effect.facts["box"] == [0, 0, 500, 1000]
    assert effect.facts["area_percent"] == 50.0


def test_box_in_the_view_is_rounded_outwards() -> None:
    effect = Bench().do(Segment(Box(1, 2, 3, 5)))  # 0.8 to 2.4 pixels across and 0.8 to 2 down: the second of each
    assert entry(effect).box == Box(1, 1, 2, 2)
    assert effect.facts["box"] == [1, 2, 3, 5]


@pytest.mark.parametrize("action", [Segment(refine=3), Combine((1, 3)), Combine((1,), (3,))])
def test_masks_that_do_not_exist_are_named(action: Segment | Combine) -> None:
    bench = Bench()
    bench.do(Segment(MIDDLE), Segment(MIDDLE))
    failure = bench.refuses(action)
    assert isinstance(failure, ReplyError)
    assert failure.code == "unknown_mask"
    assert failure.message == "There is no mask 3. Masks so far: 1 to 2."


def test_picking_from_no_masks_says_what_to_do() -> None:
    with pytest.raises(ReplyError, match="There is no mask yet: call segment first"):
        pick([], 1)
