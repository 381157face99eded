"""The reference policy with the classical segmenter, from pixels alone: whole episodes on drawings."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
import pytest
from drawings import PALETTE, Drawn, draw, ground, scene
from numpy.typing import NDArray

from rsagent_ros.agent.actions import FIRST_TOOLS
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.follow_up import exchanges_after
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt, Segmenter
from rsagent_ros.agent.turn import Trace
from rsagent_ros.baseline.policy import ReferencePolicy
from rsagent_ros.baseline.segmenter import ClassicalSegmenter

BUDGET = Budget(seconds=600)


def ask(frame: NDArray[np.uint8], instruction: str, segmenter: Segmenter[Any] | None = None) -> tuple[Result, Trace]:
    episode = Episode(frame, instruction, segmenter or ClassicalSegmenter(), BUDGET)
    return drive(episode, ReferencePolicy()), episode.trace


def answer(frame: NDArray[np.uint8], instruction: str, *previous: str) -> tuple[Result, Trace]:
    """A follow-up on a question that came of earlier instructions."""
    said = [Exchange(words, "Which one?") for words in previous]
    episode = Episode(frame, instruction, ClassicalSegmenter(), BUDGET, previous=said)
    return drive(episode, ReferencePolicy()), episode.trace


def score(result: Result, thing: Drawn) -> float:
    mask = result.mask()
    return 0.0 if mask is None else iou(mask, thing.mask)


@pytest.mark.parametrize("seed", range(6))
def test_each_shape_of_a_drawing_is_found_by_its_colour(seed: int) -> None:
    frame, drawn = scene(seed)
    thing = drawn[seed % 4]
    result, trace = ask(frame, f"Please find the {thing.colour} {thing.shape}.")
    assert result.outcome is Outcome.FOUND, trace.turns[-1].thought
    assert score(result, thing) > 0.85


def test_what_is_not_there_is_absent_and_the_reason_says_what_was_looked_for() -> None:
    frame, drawn = scene(1)
    missing = next(colour for colour in PALETTE if colour not in {one.colour for one in drawn})
    result, _ = ask(frame, f"the {missing} circle")
    assert result.outcome is Outcome.NOT_IN_VIEW
    assert missing in result.reason


@pytest.fixture(scope="module")
def row() -> tuple[NDArray[np.uint8], list[Drawn]]:
    """A red circle, a blue square and another red circle, from left to right."""
    frame = ground("noise", np.random.default_rng(5), (480, 240))
    return frame, [
        draw(frame, "circle", "red", (90, 120), 32),
        draw(frame, "square", "blue", (240, 110), 30),
        draw(frame, "circle", "red", (390, 130), 32),
    ]


def test_two_that_fit_are_ambiguous_with_a_mask_for_each_and_a_question(
    row: tuple[NDArray[np.uint8], list[Drawn]],
) -> None:
    frame, drawn = row
    result, _ = ask(frame, "the red circle")
    assert result.outcome is Outcome.AMBIGUOUS
    assert result.question
    for thing in (drawn[0], drawn[2]):
        assert max(iou(candidate.mask, thing.mask) for candidate in result.candidates) > 0.85


@pytest.mark.parametrize(
    ("instruction", "number"),
    [
        ("the red circle left of the blue square", 0),
        ("the red thing to the right of the blue square", 2),
        ("the second thing from the left", 1),
        ("the rightmost circle", 2),
        ("the thing that is not red", 1),
    ],
)
def test_places_relations_ordinals_and_negation(
    row: tuple[NDArray[np.uint8], list[Drawn]], instruction: str, number: int
) -> None:
    frame, drawn = row
    result, trace = ask(frame, instruction)
    assert result.outcome is Outcome.FOUND, trace.turns[-1].thought
    assert score(result, drawn[number]) > 0.85


def test_all_of_them_are_one_instance_each(row: tuple[NDArray[np.uint8], list[Drawn]]) -> None:
    frame, drawn = row
    result, _ = ask(frame, "all the red circles")
    assert result.outcome is Outcome.FOUND
    assert len(result.instances) == 2
    both = result.mask()
    assert both is not None
    assert iou(both, drawn[0].mask | drawn[2].mask) > 0.85


class FirstAnswerWrong:
    """The classical segmenter, whose first candidates are spoilt: shifted, or merged with a neighbour."""

    name = "spoilt"

    def __init__(self, spoil: str, neighbour: NDArray[np.bool_]) -> None:
        self._honest = ClassicalSegmenter()
        self._spoil = spoil
        self._neighbour = neighbour
        self.answers = 0

    def encode(self, image: NDArray[np.uint8]) -> Any:
        return self._honest.encode(image)

    def masks(self, encoding: Any, prompt: MaskPrompt) -> list[Candidate]:
        candidates = self._honest.masks(encoding, prompt)
        self.answers += 1
        return [self._spoilt(one) for one in candidates] if self.answers == 1 else candidates

    def _spoilt(self, candidate: Candidate) -> Candidate:
        if self._spoil == "shifted":
            columns = np.flatnonzero(candidate.mask.any(axis=0))
            mask = np.roll(candidate.mask, int(0.4 * (columns[-1] - columns[0])), axis=1)
        else:
            mask = candidate.mask | self._neighbour[: candidate.mask.shape[0], : candidate.mask.shape[1]]
        small = cv2.resize(mask.astype(np.float32), candidate.logits.shape[::-1], interpolation=cv2.INTER_AREA)
        return Candidate(mask, candidate.score, np.asarray(small * 12 - 6, dtype=np.float32))


@pytest.mark.parametrize("spoil", ["shifted", "merged"])
def test_a_wrong_first_mask_is_seen_in_the_overlay_and_corrected(spoil: str) -> None:
    frame = ground("plain", np.random.default_rng(2), (320, 240))
    target = draw(frame, "square", "green", (120, 120), 48)  # large enough not to be zoomed at
    neighbour = draw(frame, "circle", "orange", (230, 120), 40)
    segmenter = FirstAnswerWrong(spoil, neighbour.mask)
    result, trace = ask(frame, "the green square", segmenter)
    assert result.outcome is Outcome.FOUND, trace.turns[-1].thought
    assert segmenter.answers > 1
    assert score(result, target) > 0.8


def test_an_honest_segmenter_is_not_corrected_for_nothing() -> None:
    frame = ground("plain", np.random.default_rng(2), (320, 240))
    draw(frame, "square", "green", (120, 120), 48)
    draw(frame, "circle", "orange", (230, 120), 40)
    _, trace = ask(frame, "the green square")
    assert [turn.tool for turn in trace.turns].count("segment") == 1


@pytest.mark.parametrize(
    "frame",
    [np.zeros((240, 320, 3), np.uint8), np.full((33, 700, 3), 255, np.uint8), np.full((1, 1, 3), 90, np.uint8)],
    ids=["black", "white strip", "one pixel"],
)
def test_an_empty_picture_has_nothing_in_it(frame: NDArray[np.uint8]) -> None:
    result, _ = ask(frame, "the red ball")
    assert result.outcome is Outcome.NOT_IN_VIEW


@pytest.mark.parametrize("instruction", ["stapler", "???", "the of the", "第二个红球", "find " * 300])
def test_odd_instructions_are_not_understood(row: tuple[NDArray[np.uint8], list[Drawn]], instruction: str) -> None:
    result, _ = ask(row[0], instruction)
    assert (result.outcome, result.error_code) == (Outcome.GAVE_UP, ErrorCode.NOT_UNDERSTOOD)
    assert result.reason
    assert (result.candidates, result.instances, result.partial, result.confidence) == ((), (), False, None)


@pytest.mark.parametrize(
    ("instruction", "fitting"),
    [
        ("the blue mug", [1]),
        ("the red mug", [0, 2]),
        ("something to drink from that is blue", [1]),
        ("the purple dog", []),
        ("the mug", []),
        ("the circle left of the mug", []),
        ("the mug and the square", []),
        ("the blue lid of the circle", [1]),
    ],
)
def test_an_unknown_noun_is_neither_found_nor_absent_and_what_fits_the_rest_is_offered(
    row: tuple[NDArray[np.uint8], list[Drawn]], instruction: str, fitting: list[int]
) -> None:
    frame, drawn = row
    result, _ = ask(frame, instruction)
    assert (result.outcome, result.error_code) == (Outcome.GAVE_UP, ErrorCode.NOT_UNDERSTOOD)
    assert any(word in result.reason for word in ("mug", "dog", "drink", "lid"))
    offered = [max(range(3), key=lambda n: iou(one.mask, drawn[n].mask)) for one in result.candidates]
    assert offered == fitting
    assert result.partial is bool(fitting)


def test_a_chat_without_give_up_is_told_that_it_is_not_there(row: tuple[NDArray[np.uint8], list[Drawn]]) -> None:
    policy = ReferencePolicy(PictureFormat(tools=FIRST_TOOLS))
    episode = Episode(row[0], "the blue mug", ClassicalSegmenter(), BUDGET, pictures=policy.pictures)
    result = drive(episode, policy)
    assert result.outcome is Outcome.NOT_IN_VIEW
    assert "mug" in result.reason


def test_the_same_question_has_the_same_answer(row: tuple[NDArray[np.uint8], list[Drawn]]) -> None:
    replies = [[turn.reply for turn in ask(row[0], "the leftmost circle")[1].turns] for _ in range(2)]
    assert replies[0] == replies[1]


@pytest.mark.parametrize(
    "pictures",
    [PictureFormat(multiple=28, coordinates="pixels"), PictureFormat(side=448, multiple=32)],
    ids=["pixels, multiples of 28", "small, multiples of 32"],
)
def test_pictures_in_the_format_of_another_policy(pictures: PictureFormat) -> None:
    frame, drawn = scene(2, (640, 480))
    policy = ReferencePolicy(pictures)
    instruction = f"the {drawn[0].colour} {drawn[0].shape}"
    episode = Episode(frame, instruction, ClassicalSegmenter(), BUDGET, pictures=policy.pictures)
    result = drive(episode, policy)
    assert result.outcome is Outcome.FOUND
    assert score(result, drawn[0]) > 0.9
    # What is read from the overlay lies where the thing lies, whatever the overlay's size.
    agreement = re.search(r"agree by (\d+) %", episode.trace.turns[-1].thought)
    assert agreement
    assert int(agreement[1]) > 92


@pytest.fixture(scope="module")
def crowd() -> tuple[NDArray[np.uint8], list[Drawn]]:
    """Three red circles in the right half, the last the largest, and a blue square left of all."""
    frame = ground("noise", np.random.default_rng(6), (480, 240))
    return frame, [
        draw(frame, "circle", "red", (260, 70), 24),
        draw(frame, "circle", "red", (340, 160), 24),
        draw(frame, "circle", "red", (430, 100), 38),
        draw(frame, "square", "blue", (80, 120), 30),
    ]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("the left one", 0),
        ("the one on the right", 2),
        ("No, I mean the one in the middle.", 1),
        ("the largest", 2),
        ("the second from the left", 1),
        ("the one closest to the blue square", 0),
    ],
)
def test_a_follow_up_means_one_of_those_that_were_asked_about(
    crowd: tuple[NDArray[np.uint8], list[Drawn]], words: str, meant: int
) -> None:
    frame, drawn = crowd
    result, trace = answer(frame, words, "the red circle")
    assert result.outcome is Outcome.FOUND, trace.turns[-1].thought
    assert score(result, drawn[meant]) > 0.85


@pytest.mark.parametrize(("words", "meant"), [("the left one", 0), ("the largest", 2), ("the right circle", 2)])
def test_a_person_may_choose_among_what_fits_the_rest_of_words_that_are_not_known(
    crowd: tuple[NDArray[np.uint8], list[Drawn]], words: str, meant: int
) -> None:
    frame, drawn = crowd
    result, trace = answer(frame, "the red mug")
    assert (result.outcome, len(result.candidates)) == (Outcome.GAVE_UP, 3)
    said = exchanges_after(trace)
    assert said is not None
    assert said[-1].question == result.reason
    episode = Episode(frame, words, ClassicalSegmenter(), BUDGET, previous=said)
    chosen = drive(episode, ReferencePolicy())
    assert chosen.outcome is Outcome.FOUND, episode.trace.turns[-1].thought
    assert score(chosen, drawn[meant]) > 0.85
    # Another policy's question says nothing about what this one knows.
    assert answer(frame, words, "the red mug")[0].outcome is Outcome.GAVE_UP


def test_a_follow_up_can_still_be_ambiguous_and_be_followed_up(
    crowd: tuple[NDArray[np.uint8], list[Drawn]],
) -> None:
    frame, drawn = crowd
    result, trace = answer(frame, "a small one", "the red circle")
    assert result.outcome is Outcome.AMBIGUOUS, trace.turns[-1].thought
    assert len(result.candidates) == 2
    result, trace = answer(frame, "the right one", "the red circle", "a small one")
    assert result.outcome is Outcome.FOUND, trace.turns[-1].thought
    assert score(result, drawn[1]) > 0.85
    assert answer(frame, "the blue one", "the red circle")[0].outcome is Outcome.NOT_IN_VIEW
