"""What a question says: a name in it is found in any form, and two ways of saying the same are one."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsagent_training.asking.wording import alike, names_outright, wording


@pytest.mark.parametrize(
    ("question", "names", "told"),
    [
        ("Where is the mug?", ["mug"], True),
        ("Where are the MUGS?", ["mug"], True),
        ("Where is the mug?", ["mugs"], True),
        ("Which of the boxes is empty?", ["a box"], True),
        ("Bring me the coffee mug", ["coffee mug"], True),
        ("Bring me any mug you see", ["coffee mug"], True),  # the head noun is a name too
        ("What can I drink coffee from?", ["coffee mug", "cup"], False),
        ("What keeps my hands from being smudged?", ["mug"], False),
        ("What could hold tea?", ["teacup"], False),
        ("Worin kann man Tee trinken?", ["die Tasse"], False),
        ("Wo ist die Tasse?", ["die Tasse"], True),
        ("What is it?", ["the", ""], False),
    ],
)
def test_a_name_in_the_question_is_found(question: str, names: list[str], told: bool) -> None:
    assert names_outright(question, names) is told


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("What can I drink from?", "What could one drink from?", True),
        ("Which thing holds hot coffee?", "Which object holds the hot coffee?", True),
        ("What can I drink from?", "What can I sit on?", False),
        ("What would a thirsty person reach for?", "What holds hot coffee?", False),
        ("What can I do?", "What can I do?", True),
    ],
)
def test_two_ways_of_saying_the_same_are_one(one: str, other: str, same: bool) -> None:
    assert alike(one, other, 0.75) is same
    assert alike(other, one, 0.75) is same


@given(st.text(string.printable))
def test_every_question_is_like_itself(question: str) -> None:
    assert alike(question, question, 1.0)
    assert wording(question) == wording(question.upper())
