"""From words to a phrase: what is understood, and what is honestly not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsagent_ros.baseline.policy.language import Phrase, Pick, Relation, understood
from rsagent_ros.baseline.policy.vocabulary import (
    COLOUR_OF,
    COLOURS,
    EXTREME_OF,
    FILLERS,
    NOUN_OF,
    NOUNS,
    NUMBERS,
    ORDINALS,
    PLURAL_OF,
    RELATIONS,
    SIZE_OF,
    SIZES,
)

BALL, BOX, THING, RED = Phrase("ball"), Phrase("box"), Phrase(), Phrase(colours=("red",))
RED_BALL = Phrase("ball", ("red",))
RELATED = sorted(set(RELATIONS) - {"between", "with"})


def beside(kind: str, *landmarks: Phrase, of: Phrase = BALL) -> Phrase:
    return Phrase(of.noun, of.colours, relations=(Relation(kind, landmarks),))


def picked(direction: str, rank: int = 1, count: int = 1, **said: object) -> Phrase:
    return Phrase("ball", pick=Pick(direction, rank, count), **said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        ("the red ball", RED_BALL),
        ("Where's the RED ball?!", RED_BALL),
        ("could you please hand me the red-coloured ball now", RED_BALL),
        ("is there a reddish sphere in the picture?", RED_BALL),
        ("something red", RED),
        ("red", RED),
        ("the red or green ball", Phrase("ball", ("red", "green"))),
        ("the ball with a red colour", RED_BALL),
        ("the square box", BOX),
        ("the small grey can", Phrase("cylinder", ("gray",), "small")),
        # several
        ("all the red balls", Phrase("ball", ("red",), every=True)),
        ("everything that is red", Phrase(colours=("red",), every=True)),
        ("the two balls", Phrase("ball", every=True, number=2)),
        ("both of the balls", Phrase("ball", every=True)),
        ("the small balls", Phrase("ball", size="small", every=True)),
        ("the smallest balls", Phrase("ball", size="small", every=True)),
        # order
        ("the ball on the far left", Phrase("ball", side="left")),
        ("the left-most ball", picked("left")),
        ("the ball that is furthest to the left", picked("left")),
        ("the ball closest to the left edge", picked("left")),
        ("the second ball from the right", picked("right", 2)),
        ("the last ball", picked("left", -1)),
        ("the two leftmost balls", picked("left", 1, 2, number=2, every=True)),
        ("the first two balls from the left", picked("left", 1, 2, number=2, every=True)),
        ("the second largest ball", picked("large", 2)),
        ("the larger of the two balls", Phrase("ball", size="large")),
        ("the leftmost of the three balls", picked("left")),
        ("the ball nearest the camera", picked("near")),
        ("the ball furthest away", picked("far")),
        # places
        ("the ball at the top of the picture", Phrase("ball", side="top")),
        ("the ball in the top left corner of the image", picked("left", side="top")),
        ("the ball in the middle of the table", Phrase("ball", side="middle")),
        # relations
        ("the ball to the left of the box", beside("left", BOX)),
        ("the ball nearest the box", beside("closest", BOX)),
        ("the ball inside the box", beside("on", BOX)),
        ("the ball on the table", BALL),
        ("the ball in the picture", BALL),
        ("the ball smaller than the red one", beside("smaller", RED)),
        ("the ball bigger than the box", beside("larger", BOX)),
        ("the box with the red ball on it", beside("with", RED_BALL, of=BOX)),
        ("the box that has a red ball on top", beside("with", RED_BALL, of=BOX)),
        ("the ball between the box and the red one", beside("between", BOX, RED)),
        ("the ball between the two boxes", beside("between", Phrase("box", every=True, number=2))),
        ("the ball left of the box behind the red one", Phrase("ball", relations=(
            Relation("left", (BOX,)), Relation("behind", (RED,))))),
        ("the ball left of the box and behind the red one", Phrase("ball", relations=(
            Relation("left", (BOX,)), Relation("behind", (RED,))))),
        # negation
        ("the ball that isn't red", Phrase("ball", excluded=(RED,))),
        ("the non-red ball", Phrase("ball", excluded=(RED,))),
        ("the ball that is neither red nor green", Phrase("ball", excluded=(Phrase(colours=("red", "green")),))),
        ("all balls but the red one", Phrase("ball", every=True, excluded=(RED,))),
        ("all but the red ball", Phrase(every=True, excluded=(RED_BALL,))),
        ("everything except the red ball", Phrase(every=True, excluded=(RED_BALL,))),
        ("not the red ball but the box", Phrase("box", excluded=(RED_BALL,))),
        ("the ball not left of the box", Phrase("ball", excluded=(beside("left", BOX, of=THING),))),
        ("the box without a ball", Phrase("box", excluded=(beside("with", BALL, of=THING),))),
    ],
)  # fmt: skip
def test_what_is_said_is_understood(words: str, phrase: Phrase) -> None:
    assert understood(words) == (phrase,)


def test_two_things_joined_by_and_are_two_phrases() -> None:
    assert understood("the red ball and the box") == (RED_BALL, BOX)


@pytest.mark.parametrize(
    "words",
    ["the mug", "something to drink from", "the red ball's box", "the box that the ball is on", "the ball pen",
     "the ball or the box", "第二个红球", "?", "the the of"],
)  # fmt: skip
def test_what_is_not_understood_decides_nothing(words: str) -> None:
    assert not understood(words)[0].decided


def test_an_unknown_noun_is_told_and_the_rest_decides() -> None:
    (phrase,) = understood("the red mug")
    assert (phrase.unknown, phrase.unknown_noun, phrase.decided) == (("mug",), True, True)


@pytest.mark.parametrize(
    ("words", "unclear"),
    [
        ("the mug and the box", "mug"),
        ("the ball and the mug", "mug"),
        ("the ball or the mug", "mug"),
        ("the lid of the box", "lid"),
        ("the cone shaped vase", "vase"),
        ("the box left of the mug", "mug"),
        ("the ball that is not in the mug", "mug"),
        ("the one with the handle", "handle"),
        ("the shiny red thing", "shiny"),
    ],
)
def test_a_noun_that_is_not_known_makes_the_phrase_unclear_wherever_it_stands(words: str, unclear: str) -> None:
    said = understood(words)
    assert not all(phrase.clear for phrase in said)
    assert unclear in [word for phrase in said for word in phrase.unclear_words]


@pytest.mark.parametrize(
    "words",
    ["the striped red ball", "navigate to the red ball", "I would like the red ball", "No, I mean the red ball"],
)
def test_other_unknown_words_do_not(words: str) -> None:
    (phrase,) = understood(words)
    assert (phrase.clear, phrase.unclear_words, phrase.noun, phrase.colours) == (True, (), "ball", ("red",))


@pytest.mark.parametrize("words", ["the striped ball", "the ball with stripes", "the tallest ball", "the ball rolling"])
def test_unknown_attributes_of_a_known_noun_are_left_out_and_told(words: str) -> None:
    (phrase,) = understood(words)
    assert phrase.unknown
    assert (phrase.noun, phrase.decided) == ("ball", True)


nouns = st.sampled_from(sorted(set(NOUNS) - {"thing"}))
phrases = st.builds(
    Phrase,
    nouns,
    st.just(()) | st.sampled_from(sorted(COLOURS)).map(lambda colour: (colour,)),
    st.sampled_from(["", *SIZES]),
)


@given(phrases, st.sampled_from(RELATED), phrases)
def test_what_a_phrase_says_of_itself_means_the_same(head: Phrase, kind: str, landmark: Phrase) -> None:
    phrase = Phrase(head.noun, head.colours, head.size, relations=(Relation(kind, (landmark,)),))
    assert understood(f"the {phrase}") == (phrase,)


@given(phrases, st.lists(st.sampled_from(["please", "find", "me", "now", "there", "is"]), max_size=4), st.data())
def test_small_talk_capitals_and_punctuation_change_nothing(
    phrase: Phrase, talk: list[str], data: st.DataObject
) -> None:
    words = f"the {phrase}".split()
    for word in talk:
        words.insert(data.draw(st.integers(0, len(words))), word)
    marks = data.draw(st.sampled_from(["", ".", "?!", " ..."]))
    assert understood(" ".join(words).upper() + marks) == (phrase,)


tables = (NOUN_OF, PLURAL_OF, COLOUR_OF, SIZE_OF, EXTREME_OF, ORDINALS, NUMBERS, FILLERS, RELATIONS.values())
joints = ("the", "and", "not", "but", "with", "without", "from the left", "'s", "mug", "all", "on it")
known = sorted({*joints, *(word for table in tables for word in table)})


@given(st.lists(st.sampled_from(known), max_size=25).map(" ".join))
def test_known_words_in_any_order_give_phrases(words: str) -> None:
    for phrase in understood(words):
        assert phrase.noun in NOUNS
        assert str(phrase)


@given(st.text(max_size=200))
def test_any_text_gives_phrases(words: str) -> None:
    assert understood(words)


def test_the_documented_vocabulary_is_the_one_there_is() -> None:
    table = (Path(__file__).parents[3] / "docs" / "baseline.md").read_text(encoding="utf-8").split("\n\n|")[1]
    for word in (*NOUNS, *COLOURS, *SIZES, *(words for kind, words in RELATIONS.items() if kind != "with")):
        assert word in table, word
