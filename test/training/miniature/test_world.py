"""The search world and its teacher."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_training.miniature.teacher import TURNS, demonstration
from rsagent_training.miniature.world import GRID, KINDS, SearchWorld

PICTURES = PictureFormat(96, 32, "thousandths")
WORLD = SearchWorld()


def test_scenes_come_again_and_differ() -> None:
    first, second = list(WORLD.scenes(1, 20)), list(WORLD.scenes(1, 20))
    assert all(
        np.array_equal(a.image, b.image) and a.instruction == b.instruction for a, b in zip(first, second, strict=True)
    )
    assert len({scene.image.tobytes() for scene in first}) == 20
    other = next(WORLD.scenes(2, 1))
    assert not np.array_equal(other.image, first[0].image)


def test_a_scene_has_like_things_and_at_most_one_that_is_meant() -> None:
    for scene in WORLD.scenes(7, 60):
        figures = WORLD.figures(scene)
        assert [figure.cell for figure in figures] == sorted({figure.cell for figure in figures})
        assert len(figures) == 5
        meant = [figure for figure in figures if f"the {figure.kind}" == scene.instruction]
        assert len(meant) == len(scene.masks) == (scene.expected is Outcome.FOUND)
        assert all(np.array_equal(figure.mask, mask) for figure, mask in zip(meant, scene.masks, strict=True))
        colours = np.array([scene.image[figure.mask].mean(axis=0) for figure in figures])
        assert np.ptp(colours, axis=0).max() < 60


def test_habits_and_absent_things_are_as_often_as_the_world_says() -> None:
    scenes = list(SearchWorld(habit=0.8, absent=0.3).scenes(3, 600))
    absent = [scene for scene in scenes if scene.expected is Outcome.NOT_IN_VIEW]
    assert len(absent) == pytest.approx(180, abs=40)
    at_home = [
        (scene.masks[0].nonzero()[1].mean() * GRID // 96) == KINDS.index(scene.instruction.removeprefix("the "))
        for scene in scenes
        if scene.masks
    ]
    # What has no habit lies in its column by chance, too.
    assert np.mean(at_home) == pytest.approx(0.8 + 0.2 / 3, abs=0.05)


@pytest.mark.parametrize(("change", "message"), [({"things": 10}, "it must be 1 to 9"), ({"habit": 1.5}, "are shares")])
def test_a_world_that_can_not_be_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchWorld(**change)  # type: ignore[arg-type]


def test_the_teacher_looks_until_it_has_found_it_or_seen_all() -> None:
    segmenter = ClassicalSegmenter()
    good = 0
    for scene in WORLD.scenes(5, 60):
        taught = demonstration(scene, WORLD, PICTURES, segmenter, seed=0)
        turns = taught.trace.turns
        assert all(taught.learn)
        if len(turns) == TURNS and taught.trace.outcome is Outcome.GAVE_UP:
            continue  # it looked at too much twice: the filter of training takes it out
        assert taught.trace.outcome is scene.expected
        if scene.masks:
            wrong = [taught.trace.mask(turn.mask_id) for turn in turns[:-2]]
            assert all(mask is not None and iou(mask, scene.masks[0]) < 0.1 for mask in wrong)
        else:
            assert len({turn.reply.partition("try")[2] for turn in turns}) >= len(WORLD.figures(scene))
        good += taught.iou >= 0.9
    assert good >= 54


def test_the_teacher_knows_no_habits() -> None:
    """Its first look goes to the column of what is wanted as often as there are things in it."""
    segmenter = ClassicalSegmenter()
    columns: Counter[bool] = Counter()
    share = []
    for scene in WORLD.scenes(6, 200):
        home = KINDS.index(scene.instruction.removeprefix("the "))
        share.append(np.mean([figure.cell % GRID == home for figure in WORLD.figures(scene)]))
        arguments = demonstration(scene, WORLD, PICTURES, segmenter, seed=0).trace.turns[0].arguments or {}
        columns[int(arguments["positive"][0][0]) * GRID // 1000 == home] += 1
    assert columns[True] / 200 == pytest.approx(float(np.mean(share)), abs=0.08)
