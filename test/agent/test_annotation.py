"""Pictures for people: what is found keeps its texture, has a line around it, and a label that hides no other."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import AMBIGUOUS, FINISH, SEGMENT, SEGMENT_LEFT, FakePolicy, FakeSegmenter
from numpy.typing import NDArray

from rsagent_ros.agent.annotation import FILL, Annotation, annotate, answer_annotations
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.marks import colour_of
from rsagent_ros.agent.turn import Trace

GREY = np.full((240, 320, 3), 128, dtype=np.uint8)


def box(x0: int, y0: int, x1: int, y1: int) -> NDArray[np.bool_]:
    mask = np.zeros((240, 320), dtype=np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def changed(drawn: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((drawn != 128).any(axis=2))


def test_without_annotations_it_is_the_image() -> None:
    assert (annotate(GREY, [], 320, 240) == GREY).all()


def test_what_is_covered_has_a_share_of_the_colour_and_a_line_runs_around_it() -> None:
    drawn = annotate(GREY, [Annotation(box(100, 60, 200, 160))], 320, 240)
    tinted = np.round((1 - FILL) * 128 + FILL * np.array(colour_of(1)))
    assert (drawn[70:150, 110:190] == tinted).all()
    assert np.abs(drawn[60, 110:190] - np.array(colour_of(1), float)).max() < 30
    assert not changed(drawn)[:55].any()


def test_each_has_a_colour_of_its_own_and_a_label_beside_it() -> None:
    masks = [box(20, 100, 80, 160), box(200, 100, 260, 160)]
    plain = annotate(GREY, [Annotation(mask) for mask in masks], 320, 240)
    assert (plain[130, 50] != plain[130, 230]).any()
    labelled = annotate(GREY, [Annotation(mask, str(number)) for number, mask in enumerate(masks, 1)], 320, 240)
    above = changed(labelled)[:98]
    assert above[:, :160].any()
    assert above[:, 160:].any()


def test_labels_do_not_hide_each_other() -> None:
    one = annotate(GREY, [Annotation(box(100, 100, 160, 160), "1")], 320, 240)
    both = annotate(
        GREY, [Annotation(box(100, 100, 160, 160), "1"), Annotation(box(101, 100, 161, 160), "2")], 320, 240
    )
    label = changed(one)
    label[98:] = False
    assert label.any()
    assert (both[label] == one[label]).all()


@pytest.mark.parametrize("mask", [box(0, 0, 320, 240), box(0, 0, 1, 1), box(319, 239, 320, 240), box(0, 0, 0, 0)])
@pytest.mark.parametrize("size", [(320, 240), (12, 9), (1280, 960)])
def test_any_mask_at_any_size(mask: NDArray[np.bool_], size: tuple[int, int]) -> None:
    drawn = annotate(GREY, [Annotation(mask, "grün, and a label that is much longer than the picture is wide")], *size)
    assert drawn.shape == (size[1], size[0], 3)
    assert changed(drawn).any() or not mask.any()


def played(*script: str) -> Trace:
    episode = Episode(GREY, "the mug", FakeSegmenter())
    drive(episode, FakePolicy(list(script)))
    return episode.trace


def test_one_answer_has_its_confidence_and_candidates_are_numbered_as_the_question_counts_them() -> None:
    assert [one.label for one in answer_annotations(played(SEGMENT, FINISH))] == ["0.90"]
    candidates = answer_annotations(played(SEGMENT, SEGMENT_LEFT, AMBIGUOUS))
    assert [one.label for one in candidates] == ["1  0.90", "2  0.90"]
    assert answer_annotations(Trace("g", "the mug", 320, 240, 8)) == []
