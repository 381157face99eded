"""Goals are true, fair, and answered alike by someone else who reads only their words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the simulator is the extra [sim]")

from goal_reader import DRAWINGS, SOLIDS, Reader

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_training.simulate import CATEGORIES, UNKNOWN_NOUN, Rendering, World, demo_examples, demo_world, examples
from rsagent_training.simulation import semantics
from rsagent_training.simulation.catalogue import GEOMETRIC, NOUNS, THINGS
from rsagent_training.simulation.layout import make_item
from rsagent_training.simulation.semantics import NounPhrase
from rsagent_training.simulation.visibility import VisibleItem, visible_items

Made = tuple[World, Rendering, list[Example]]


def targets(example: Example, frame: Rendering) -> set[str]:
    """The names of the things that an example's masks are of."""
    return {name for name, mask in frame.masks.items() for own in example.masks if own is mask}


@pytest.fixture(scope="module", params=[(v, s) for v in ("full", "plain") for s in range(40, 43)], ids=str)
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    vocabulary, seed = request.param
    with World(seed, vocabulary=vocabulary) as world:
        frame = world.render()
        yield world, frame, examples(world, frame)


def test_someone_who_reads_only_the_words_gives_the_same_answer(made: Made) -> None:
    world, frame, questions = made
    reader = Reader(world.items, frame)
    assert len(questions) >= 12
    for example in questions:
        assert reader.answer(example.instruction) == targets(example, frame), example.instruction


def test_the_number_of_targets_fits_the_outcome(made: Made) -> None:
    for example in made[2]:
        count = len(example.masks)
        assert example.category in CATEGORIES
        if example.expected is Outcome.AMBIGUOUS:
            assert count >= 2
            assert example.category == "ambiguous"
        elif example.expected is Outcome.NOT_IN_VIEW:
            assert count == 0
            assert example.category == "absent"
        else:
            assert (count >= 2) if example.category == "all" else (count == 1)


def test_what_is_asked_for_is_clearly_visible(made: Made) -> None:
    world, frame, questions = made
    share = {thing.name: thing.share for thing in visible_items(world.items, frame)}
    for example in questions:
        for name in targets(example, frame):
            assert frame.masks[name].sum() >= 150
            assert share[name] >= 0.6


def test_the_same_frame_gives_the_same_goals_and_no_goal_twice(made: Made) -> None:
    world, frame, questions = made
    again = examples(world, frame)
    assert [example.instruction for example in again] == [example.instruction for example in questions]
    assert [targets(example, frame) for example in again] == [targets(example, frame) for example in questions]
    assert len({example.instruction for example in questions}) == len(questions)


def test_plain_goals_keep_to_plain_words(made: Made) -> None:
    world, _, questions = made
    if world.vocabulary == "plain":
        household = {word for noun in NOUNS.values() for word in (noun.word, noun.plural)} & (
            (SOLIDS - {*GEOMETRIC}) | {f"{kind}s" for kind in SOLIDS - {*GEOMETRIC}}
        )
        for example in questions:
            assert not household & set(example.instruction.split())
            assert example.category != "use"


def test_all_categories_come_up() -> None:
    found: dict[str, set[str]] = {"plain": set(), "full": set()}
    for vocabulary, categories in found.items():
        for seed in range(70, 74):
            with World(seed, vocabulary=vocabulary, size=(320, 240)) as world:  # type: ignore[arg-type]
                categories.update(example.category for example in examples(world, world.render()))
    assert found["full"] == set(CATEGORIES)
    assert found["plain"] == set(CATEGORIES) - {"use"}


def test_a_moving_camera_gets_goals_of_what_it_sees_then() -> None:
    with World(9) as world:
        frame = world.render(3.0)
        reader = Reader(world.items, frame)
        for example in examples(world, frame):
            assert reader.answer(example.instruction) == targets(example, frame), example.instruction


def thing(
    kind: str, x: float, y: float = 0.5, colour: str = "red", size: str = "medium", **changes: float
) -> VisibleItem:
    """A thing as seen at (x, y) of the picture, 0.1 wide, nothing hidden."""
    item = make_item(f"{kind}_{colour}_{x}_{y}", kind, colour, size, "plain", np.random.default_rng(0))
    seen = VisibleItem(
        item, pixels=2000, share=1.0, whole=2000, centre=(x, y), low=y + 0.05, span=(x - 0.05, x + 0.05),
        distance=1.5 - y, depth=1.5 - y, spot=(x, -y), steepness=40.0,
    )  # fmt: skip
    return replace(seen, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(0.2, 0.5, True), (0.38, 0.5, None), (0.42, 0.5, None), (0.6, 0.5, False), (0.33, 0.9, None)],
    ids=["clear", "overlapping", "within the margin", "on the other side", "rather below than beside"],
)
def test_left_of(x: float, y: float, expected: bool | None) -> None:
    assert semantics.beside(thing("box", x, y), thing("cylinder", 0.43), "left of") is expected


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(0.5, 0.7, True), (0.5, 0.52, None), (0.5, 0.3, False), (0.8, 0.7, None)],
    ids=["clear", "within the margin", "behind", "nearer but far aside"],
)
def test_in_front_of(x: float, y: float, expected: bool | None) -> None:
    assert semantics.before(thing("ball", x, y), thing("book", 0.5), "in front of") is expected


def test_a_can_may_or_may_not_be_the_cylinder() -> None:
    can, ball = thing("can", 0.2), thing("ball", 0.6)
    assert NounPhrase(NOUNS["cylinder"]).among([can, ball]) == {can.name: None, ball.name: False}
    assert semantics.every(NounPhrase(NOUNS["cylinder"]).among([can, ball])) is None
    assert semantics.only(NounPhrase(NOUNS["can"]).among([can, ball])) == can.name


def test_a_drawing_may_or_may_not_be_a_thing() -> None:
    circle, ball = thing("circle", 0.2), thing("ball", 0.6)
    assert semantics.only(NounPhrase(THINGS["thing"], "red").among([circle, ball])) is None
    assert semantics.only(NounPhrase(THINGS["thing"], "red").among([ball])) == ball.name


def test_what_is_hardly_visible_makes_an_answer_doubtful_only_where_it_would_change_it() -> None:
    mug, hidden = thing("mug", 0.2), thing("mug", 0.6, share=0.3)
    assert semantics.only(NounPhrase(NOUNS["mug"]).among([mug, hidden])) is None
    blue = thing("mug", 0.6, colour="blue", share=0.3)
    assert semantics.only(NounPhrase(NOUNS["mug"], "red").among([mug, blue])) == mug.name


def test_what_is_seen_from_straight_above_has_no_certain_kind() -> None:
    cone = thing("cone", 0.2, steepness=75.0)
    assert semantics.every(NounPhrase(NOUNS["ball"]).among([cone])) is None
    assert semantics.only(NounPhrase(THINGS["thing"]).among([cone])) == cone.name


def test_small_needs_something_larger_to_be_small_beside() -> None:
    small, large = thing("box", 0.2, size="small", pixels=800, whole=800), thing("box", 0.6, size="large")
    assert semantics.only(NounPhrase(NOUNS["box"], size="small").among([small, large])) == small.name
    assert semantics.every(NounPhrase(NOUNS["box"], size="small").among([small])) is None
    near = replace(small, pixels=1900, whole=1900)
    assert semantics.every(NounPhrase(NOUNS["box"], size="small").among([near, large])) is None, "it looks as large"


def test_a_superlative_must_win_against_what_may_be_meant_too() -> None:
    left, right = thing("ball", 0.2), thing("ball", 0.6)
    ahead = semantics.order([left, right], "leftmost")
    assert semantics.foremost({left.name: True, right.name: None}, ahead) == left.name
    assert semantics.foremost({left.name: None, right.name: True}, ahead) is None
    assert semantics.foremost({left.name: True, right.name: False}, ahead) is None, "one thing alone is not leftmost"


def rectangle_grabcut(frame: Rendering, name: str) -> float:
    """IoU of OpenCV's GrabCut, given the exact bounding box of a thing and nothing else."""
    mask = frame.masks[name]
    rows, columns = np.nonzero(mask)
    box = (int(columns.min()) - 2, int(rows.min()) - 2, int(np.ptp(columns)) + 5, int(np.ptp(rows)) + 5)
    labels, back, fore = np.zeros(mask.shape, np.uint8), np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(np.ascontiguousarray(frame.rgb[:, :, ::-1]), labels, box, back, fore, 5, cv2.GC_INIT_WITH_RECT)
    drawn = labels % 2 == 1
    return float((drawn & mask).sum() / (drawn | mask).sum())


def test_the_demo_holds_what_it_promises() -> None:
    with demo_world() as world:
        frame = world.render()
    reader, goals = Reader(world.items, frame), demo_examples(world, frame)
    things = {one.name: one for one in visible_items(world.items, frame)}
    assert [example.expected for example in goals].count(Outcome.NOT_IN_VIEW) == 1
    for example in goals:
        if example.previous:
            assert example.expected is Outcome.FOUND
            assert targets(example, frame) < reader.answer(example.previous[-1].instruction)
        else:
            assert reader.answer(example.instruction) == targets(example, frame)
        for name in targets(example, frame):
            assert things[name].clear
            first = rectangle_grabcut(frame, name)
            assert (first < 0.8) if "needs correction" in example.tags else (first > 0.9), example.instruction
    tags = {tag for example in goals for tag in example.tags}
    assert tags >= {"needs correction", "for cancelling", "answers the question", UNKNOWN_NOUN}
    assert "all" in tags
    asked, answer = goals[-2:]
    assert asked.expected is Outcome.AMBIGUOUS
    assert answer.previous[-1].instruction == asked.instruction
    assert DRAWINGS.isdisjoint(item.kind for item in world.items)
