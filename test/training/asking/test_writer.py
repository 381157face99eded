"""What a model wrote: questions are found in any wrapping, and what holds none says why."""

from __future__ import annotations

import pytest

from rsagent_training.asking.writer import BadWriting, questions_in


@pytest.mark.parametrize(
    "reply",
    [
        '{"names": ["mug"], "questions": ["What holds tea?"]}',
        'Sure!\n```json\n{"names": ["mug"], "questions": ["What holds\\n tea?", " "]}\n```\nAnything else?',
    ],
)
def test_questions_are_found_in_any_wrapping(reply: str) -> None:
    assert questions_in(reply) == (["mug"], ["What holds tea?"])


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("What holds tea?", "no JSON in the reply"),
        ("} {", "no JSON in the reply"),
        ('{"names": ["mug"], "questions": "What holds tea?"}', "not what was asked for"),
        ('{"names": ["mug"], "questions": ["What ho', "no JSON in the reply"),
        ('{"names": ["mug"], "questions": [1]}', "not what was asked for"),
        ("{" * 100_000 + "}", "not what was asked for"),
        ('{"names": [], "questions": ["What holds tea?"]}', "no name of the target"),
        ('{"names": ["mug"], "questions": []}', "or no question"),
    ],
)
def test_what_holds_no_questions_says_why(reply: str, message: str) -> None:
    with pytest.raises(BadWriting, match=message):
        questions_in(reply)
