"""The small world and its teacher."""

from __future__ import annotations

import numpy as np
import pytest

from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_training.miniature.teacher import lesson
from rsagent_training.miniature.world import Lesson, figures_of, scenes

PICTURES = PictureFormat(96, 32, "thousandths")


@pytest.mark.parametrize("kind", ["one", "several", "mixed"])
def test_scenes_come_again_and_differ(kind: Lesson) -> None:
    first, second = list(scenes(1, 20, kind)), list(scenes(1, 20, kind))
    assert all(
        np.array_equal(a.image, b.image) and a.instruction == b.instruction for a, b in zip(first, second, strict=True)
    )
    assert len({scene.image.tobytes() for scene in first}) == 20
    other = next(scenes(2, 1, kind))
    assert not np.array_equal(other.image, first[0].image)


def test_what_is_asked_for_is_there_or_is_not() -> None:
    drawn = list(scenes(3, 200, "mixed"))
    absent = [scene for scene in drawn if scene.expected is Outcome.NOT_IN_VIEW]
    assert 25 < len(absent) < 75
    for scene in drawn:
        if scene.expected is Outcome.FOUND:
            (mask,) = scene.masks
            colour = scene.instruction.split()[1]
            mean = scene.image[mask].mean(axis=0)
            wanted = {"red": mean[0], "green": mean[1], "blue": mean[2], "yellow": min(mean[0], mean[1])}[colour]
            assert wanted > 120
            assert 60 < mask.sum() < 600


def test_the_teacher_corrects_itself_and_its_mistakes_are_not_learned() -> None:
    segmenter = ClassicalSegmenter()
    corrected = 0
    for scene in scenes(5, 60, "mixed"):
        taught = lesson(scene, PICTURES, segmenter, seed=0)
        assert taught.trace.outcome is scene.expected
        assert taught.learn[-1]
        if not taught.learn[0]:
            corrected += 1
            assert taught.trace.turns[0].reply.startswith("<think>I see ")
            wrong = taught.trace.mask(1)
            if wrong is not None and scene.masks:
                assert iou(wrong, scene.masks[0]) < 0.5
    assert 10 <= corrected <= 35


@pytest.mark.parametrize("kind", ["one", "several", "mixed"])
def test_what_there_is_to_see_is_told_by_the_scene_alone(kind: Lesson) -> None:
    for scene in scenes(7, 40, kind):
        things = figures_of(scene)
        assert len(things) == 1 if kind == "one" else 2 <= len(things) <= 3
        assert [thing.cell for thing in things] == sorted({thing.cell for thing in things})
        meant = [thing for thing in things if f"the {thing.words}" == scene.instruction]
        assert len(meant) == len(scene.masks)
        assert all(np.array_equal(thing.mask, mask) for thing, mask in zip(meant, scene.masks, strict=True))


def test_nearly_all_of_it_passes_the_filter_of_training() -> None:
    segmenter = ClassicalSegmenter()
    good = [lesson(scene, PICTURES, segmenter, seed=0).iou >= 0.9 for scene in scenes(6, 60, "mixed")]
    assert sum(good) >= 54
