from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

pytest.importorskip("openai", reason="the chat server's policy needs the package openai")

from chat_talk import noise, user

from rsagent_ros.agent.chat import Message, Picture, Text
from rsagent_ros.policies.chat_server.messages import data_url, encoded


def test_a_picture_arrives_with_exactly_the_pixels_that_were_drawn() -> None:
    pixels = noise(96, 64)
    kind, _, content = data_url(Picture(pixels, "view")).partition(",")
    bgr = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    assert kind == "data:image/png;base64"
    np.testing.assert_array_equal(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), pixels)


def test_parts_keep_their_order() -> None:
    message = Message("user", (Picture(noise(), "view"), Text("left"), Picture(noise(), "overlay"), Text("right")))
    assert [part["type"] for part in encoded(message)["content"]] == ["image_url", "text", "image_url", "text"]


def test_text_alone_is_a_string_which_every_server_takes() -> None:
    assert encoded(Message("system", (Text("one "), Text("two")))) == {"role": "system", "content": "one two"}
    assert encoded(user("hello")) == {"role": "user", "content": "hello"}
