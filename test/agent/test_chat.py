"""A message gives its texts and its pictures in order."""

from __future__ import annotations

import numpy as np

from rsagent_ros.agent.chat import Message, Picture, Text


def test_text_and_pictures_of_a_message() -> None:
    first, second = (Picture(np.full((2, 3, 3), value, dtype=np.uint8), "view") for value in (0, 1))
    message = Message("user", (Text("a"), first, Text("b"), second))
    assert message.text == "ab"
    assert message.pictures == (first, second)
