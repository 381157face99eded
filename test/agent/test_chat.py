"""The byte form of a chat: equal chats have equal bytes, different chats have different ones."""

from __future__ import annotations

import numpy as np
import pytest

from rsagent_ros.agent.chat import Message, Picture, Text, to_bytes


def picture(value: int = 0, shape: tuple[int, int, int] = (2, 3, 3), *, overlay: bool = False) -> Picture:
    return Picture(np.full(shape, value, dtype=np.uint8), "overlay" if overlay else "view")


def test_text_and_pictures_of_a_message() -> None:
    first, second = picture(), picture(1)
    message = Message("user", (Text("a"), first, Text("b"), second))
    assert message.text == "ab"
    assert message.pictures == (first, second)


def test_same_pixels_are_the_same_bytes() -> None:
    assert to_bytes([Message("user", (picture(7),))]) == to_bytes([Message("user", (picture(7),))])


DIFFERENT = [
    [],
    [Message("user", ())],
    [Message("user", (Text(""),))],
    [Message("user", (Text("ab"),))],
    [Message("assistant", (Text("ab"),))],
    [Message("user", (Text("a"), Text("b")))],
    [Message("user", (Text("a"),)), Message("user", (Text("b"),))],
    [Message("user", (Text("a\nuser 1\ntext 1\nb"),))],
    [Message("user", (picture(),))],
    [Message("user", (picture(1),))],
    [Message("user", (picture(overlay=True),))],
    [Message("user", (picture(shape=(3, 2, 3)),))],
    [Message("user", (picture(), picture()))],
    [Message("user", (Text("\0" * 18),))],
    [Message("user", (Text("\ud800"),))],
]


@pytest.mark.parametrize("number", range(len(DIFFERENT)))
def test_different_chats_have_different_bytes(number: int) -> None:
    others = [to_bytes(chat) for other, chat in enumerate(DIFFERENT) if other != number]
    assert to_bytes(DIFFERENT[number]) not in others


def test_message_that_grew_has_no_prefix() -> None:
    before, after = (to_bytes([Message("user", parts)]) for parts in ((Text("a"),), (Text("a"), Text("b"))))
    assert not after.startswith(before)
